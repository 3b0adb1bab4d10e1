#!/bin/bash
# The movie platform as jobs that depend on each other: clean and join, learn, make a page. Each has the cores it needs
# and no more, and starts when the one before has succeeded. Run it on a login node:
#
#   ./pipeline.sh ratings.csv titles.csv results
#
# OPTIONS="--account=NAME --partition=NAME" for all of them.
set -euo pipefail
ratings=$1 titles=$2 results=$3
read -r -a options <<<"${OPTIONS:-}"
mkdir -p "$results"

# `quern submit --parsable` prints the job's number. --requeue: a job whose time is over goes on in the next one.
ingest=$(quern submit --parsable "${options[@]}" -J ingest -N 2 -n "${RANKS:-32}" -t 1:00:00 --requeue --run "$results/runs/ingest" \
  -- movies --ratings "$ratings" --titles "$titles" --factors 0 --output "$results/tables")

# The first job has left the clean ratings staged: they are read by column, from any number of ranks.
train=$(quern submit --parsable "${options[@]}" -J train -n "${RANKS:-16}" -t 2:00:00 --requeue --run "$results/runs/train" \
  --dependency "afterok:$ingest" \
  -- quern train als --data "$results/tables/ratings" --features 'user_id, movie_id' --label rating --test-fraction 0.1 \
  --output "$results/recommender.h5")

report=$(quern submit --parsable "${options[@]}" -J report -n 1 -t 10 --run none --dependency "afterok:$train" \
  -- quern report "$results/runs/ingest" -o "$results/report.html")

echo "ingest $ingest, train $train, report $report; follow them with: squeue --me"
echo "the end of it: $results/report.html, $results/recommender.h5"
