// SPDX-License-Identifier: Apache-2.0
// The movie platform: cleans its ratings, finds popular titles, taste per genre, activity by hour and
// weekday, and titles that are watched together; stages the cleaned ratings, learns from them what each user
// would rate and watch, and recommends titles.
//
//   mpirun -n 4 movies --ratings ratings.csv --titles movies.csv --output results
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <quern/quern.h>
#include <quern/train.h>

enum { N_BEST = 10, N_POPULAR = 100 }; // titles for each user; titles that the baseline recommends from

// in: movie_id int64, genres utf8 "Drama|War" -> out: movie_id int64, genre utf8
static qn_status split_genres(const qn_batch *in, qn_appender *out, void *ctx) {
  const qn_column *ids = qn_batch_column(in, 0);
  const qn_column *genres = qn_batch_column(in, 1);
  (void)ctx;

  for (int64_t row = 0; row < ids->n_rows; row++) {
    qn_text left = qn_column_is_null(genres, row) ? (qn_text){0} : qn_column_text(genres, row);
    while (left.size > 0) {
      const char *bar = memchr(left.data, '|', (size_t)left.size);
      const int64_t size = bar == NULL ? left.size : bar - left.data;
      qn_append_from(out, ids, row);
      qn_append_text(out, left.data, size);
      left.data += size + (bar != NULL);
      left.size -= size + (bar != NULL);
    }
  }
  return QN_OK;
}

// Each title's mean, drawn towards the mean of all by `prior` votes of that value: few votes say little.
static qn_dataset *popular_titles(qn_dataset *ratings, qn_dataset *titles, long long prior) {
  char score[256];
  qn_dataset *all = qn_select(qn_reduce(ratings, NULL, "avg(rating) as overall"), "overall, 1 as one");
  qn_dataset *means =
      qn_reduce(ratings, "movie_id", "count(*) as n, avg(rating) as mean, sum(rating) as total");
  means = qn_join(qn_select(means, "*, 1 as one"), all, QN_JOIN_INNER, "one", NULL);
  snprintf(score, sizeof score, "movie_id, n, mean, (total + %lld * overall) / (n + %lld) as score", prior,
           prior);
  means = qn_join(qn_select(means, score), titles, QN_JOIN_LEFT, "movie_id", NULL);
  return qn_sort(qn_select(means, "movie_id, title, n, mean, score"), "score desc, n desc, movie_id");
}

static qn_dataset *genre_taste(qn_dataset *ratings, qn_dataset *titles) {
  qn_dataset *genres =
      qn_map(qn_select(titles, "movie_id, genres"), split_genres, NULL, "movie_id int64, genre utf8");
  qn_dataset *each =
      qn_join(qn_select(ratings, "user_id, movie_id, rating"), genres, QN_JOIN_INNER, "movie_id", NULL);
  qn_dataset *taste = qn_reduce(each, "genre",
                                "count(*) as n, count(distinct user_id) as users, avg(rating) as mean, "
                                "stddev(rating) as deviation");
  // nine places: the last digits of a deviation depend on the order of the rows, and so on the number of
  // ranks
  return qn_sort(qn_select(taste, "genre, n, users, mean, round(deviation * 1e9) / 1e9 as spread"),
                 "n desc, genre");
}

static qn_dataset *activity_by_hour(qn_dataset *ratings) {
  qn_dataset *activity = qn_select(ratings, "extract(isodow from seen)::int32 as weekday, "
                                            "extract(hour from seen)::int32 as hour, user_id");
  activity = qn_reduce(activity, "weekday, hour", "count(*) as n, count(distinct user_id) as users");
  return qn_sort(activity, "weekday, hour");
}

// Pairs among the most watched titles: how many users watched both, and the lift over chance.
static qn_dataset *watched_together(qn_dataset *ratings, qn_dataset *titles, int64_t n_titles) {
  qn_dataset *watched = qn_cache(qn_distinct(qn_select(ratings, "user_id, movie_id"), NULL));
  qn_dataset *counts = qn_reduce(watched, "movie_id", "count(*) as users");
  qn_dataset *most = qn_cache(qn_top(counts, "users desc, movie_id", n_titles));
  qn_dataset *chosen =
      qn_cache(qn_select(qn_join(watched, most, QN_JOIN_INNER, "movie_id", NULL), "user_id, movie_id"));
  qn_dataset *pairs = qn_join(chosen, chosen, QN_JOIN_INNER, "user_id", "l.movie_id < r.movie_id");
  // the users of each title come after counting: there are far fewer pairs of titles than rows here
  pairs = qn_reduce(pairs, "movie_id as a, movie_id_right as b", "count(*) as users");
  pairs =
      qn_join(pairs, qn_select(most, "movie_id, users as users_a"), QN_JOIN_INNER, "l.a = r.movie_id", NULL);
  pairs = qn_join(qn_select(pairs, "a, b, users, users_a"), qn_select(most, "movie_id, users as users_b"),
                  QN_JOIN_INNER, "l.b = r.movie_id", NULL);
  qn_dataset *people =
      qn_select(qn_reduce(ratings, NULL, "count(distinct user_id) as people"), "people, 1 as one");
  pairs = qn_join(qn_select(pairs, "a, b, users, users_a, users_b, 1 as one"), people, QN_JOIN_INNER, "one",
                  NULL);
  pairs = qn_select(pairs, "a, b, users, users::float64 * people / (users_a::float64 * users_b) as lift");
  qn_dataset *names = qn_select(titles, "movie_id, title");
  pairs =
      qn_join(pairs, qn_select(names, "movie_id, title as title_a"), QN_JOIN_LEFT, "l.a = r.movie_id", NULL);
  pairs = qn_join(qn_select(pairs, "a, b, users, lift, title_a"),
                  qn_select(names, "movie_id, title as title_b"), QN_JOIN_LEFT, "l.b = r.movie_id", NULL);
  return qn_top(qn_select(pairs, "a, b, title_a, title_b, users, lift"), "users desc, lift desc, a, b", 1000);
}

// --- The dashboard: what `quern report` shows first of the run; without a folder of the run it does nothing
// ----------------------------------------------------------------------------------------------------

static void show_ratings(qn_dataset *ratings, qn_dataset *popular, qn_dataset *activity, qn_dataset *taste,
                         qn_dataset *pairs) {
  qn_report_numbers(
      qn_reduce(ratings, NULL,
                "count(*) as \"Ratings\", count(distinct user_id) as \"Users\", "
                "count(distinct movie_id) as \"Titles rated\", avg(rating) as \"Mean rating\""));
  qn_report_chart(qn_limit(popular, 20),
                  &(qn_chart){.title = "Popular titles",
                              .note = "Best score first; few ratings draw a score towards the mean of all.",
                              .kind = QN_CHART_BAR,
                              .x = "title",
                              .y = "n as ratings",
                              .points = "score"});
  qn_report_chart(activity, &(qn_chart){.title = "When people rate",
                                        .note = "Ratings in each hour of the week, UTC.",
                                        .kind = QN_CHART_HEATMAP,
                                        .x = "hour",
                                        .y = "case weekday when 1 then 'Monday' when 2 then 'Tuesday' "
                                             "when 3 then 'Wednesday' when 4 then 'Thursday' when 5 then "
                                             "'Friday' when 6 then 'Saturday' else 'Sunday' end as weekday",
                                        .value = "n as ratings"});
  qn_report_chart(taste, &(qn_chart){.title = "Taste per genre",
                                     .kind = QN_CHART_BAR,
                                     .x = "genre",
                                     .y = "n as ratings",
                                     .points = "mean as \"mean rating\""});
  qn_report_chart(popular, &(qn_chart){.title = "How often and how well titles are rated",
                                       .kind = QN_CHART_SCATTER,
                                       .x = "n as ratings",
                                       .y = "mean as \"mean rating\""});
  qn_report_table(qn_select(pairs, "title_a as title, title_b as \"watched also\", users, lift"),
                  "Watched together", 20);
}

static void show_recommender(qn_dataset *metrics, qn_dataset *best) {
  qn_report_chart(metrics, &(qn_chart){.title = "How good the recommender is",
                                       .note = "Recall and ndcg: more is better, against the most watched "
                                               "titles; rmse: less is better, against each title's mean.",
                                       .kind = QN_CHART_BAR,
                                       .x = "metric",
                                       .y = "recommender, baseline"});
  qn_report_table(qn_select(best, "user_id as user, rank, title, score"), "Some recommendations", 50);
}

// --- The recommender
// ----------------------------------------------------------------------------------------------------

// Errors of predicted ratings, and of each title's mean in their place.
static qn_dataset *rating_errors(qn_dataset *train, qn_dataset *test, qn_model *model) {
  qn_dataset *means = qn_reduce(train, "movie_id", "avg(rating) as mean");
  qn_dataset *predicted = qn_filter(qn_predict(test, model), "prediction is not null");
  predicted = qn_join(predicted, means, QN_JOIN_INNER, "movie_id", NULL);
  predicted = qn_select(predicted, "rating - prediction as error, rating - mean as mean_error");
  predicted = qn_reduce(predicted, NULL,
                        "avg(error * error) as squares, avg(mean_error * mean_error) as mean_squares");
  return qn_select(predicted,
                   "'rmse' as metric, sqrt(squares) as recommender, sqrt(mean_squares) as baseline");
}

// The baseline: to everyone the most watched titles that she has not yet seen. "user_id, movie_id, rank"
static qn_dataset *recommend_popular(qn_dataset *train) {
  qn_dataset *counts = qn_reduce(train, "movie_id", "count(*) as n");
  qn_dataset *most = qn_select(qn_top(counts, "n desc, movie_id", N_POPULAR), "movie_id, n, 1 as one");
  qn_dataset *users = qn_select(qn_distinct(qn_select(train, "user_id"), NULL), "user_id, 1 as one");
  qn_dataset *pairs = qn_join(users, most, QN_JOIN_INNER, "one", NULL);
  pairs = qn_join(pairs, qn_select(train, "user_id, movie_id"), QN_JOIN_ANTI, "user_id, movie_id", NULL);
  pairs = qn_window(pairs, "user_id", "n desc, movie_id", "row_number() as rank");
  return qn_filter(qn_select(pairs, "user_id, movie_id, rank"), "rank <= 10");
}

// in: a user's recommendations, "user_id, rank, taken (null: not), n_taken" -> out: recall and ndcg at
// N_BEST, in billionths: sums of whole numbers are the same on any number of ranks
static qn_status judge_user(qn_group *rows, qn_appender *out, void *ctx) {
  const qn_batch *batch = NULL;
  int64_t n_hits = 0;
  int64_t n_taken = 0;
  double gain = 0;
  double ideal = 0;
  (void)ctx;

  qn_status status = qn_group_next(rows, &batch);
  while (status == QN_OK && batch != NULL) {
    n_taken = qn_column_int64(qn_batch_column(batch, 3), 0);
    for (int64_t row = 0; row < qn_batch_n_rows(batch); row++) {
      const bool is_hit = !qn_column_is_null(qn_batch_column(batch, 2), row);
      n_hits += is_hit;
      gain += is_hit ? 1 / log2((double)qn_column_int64(qn_batch_column(batch, 1), row) + 1) : 0;
    }
    status = qn_group_next(rows, &batch);
  }
  const int64_t n_possible = n_taken < N_BEST ? n_taken : N_BEST;
  for (int64_t rank = 1; rank <= n_possible; rank++) {
    ideal += 1 / log2((double)rank + 1);
  }
  qn_append_int64(out, llround(1e9 * (double)n_hits / (double)n_possible));
  qn_append_int64(out, llround(1e9 * gain / ideal));
  return status;
}

// How much of what users watched (test) was recommended to them: one row, "recall, ndcg, one".
static qn_dataset *judge(qn_dataset *recommended, qn_dataset *test) {
  qn_dataset *taken = qn_distinct(qn_select(test, "user_id, movie_id"), NULL);
  qn_dataset *counts = qn_reduce(taken, "user_id", "count(*) as n_taken");
  qn_dataset *rows =
      qn_join(qn_select(recommended, "user_id, movie_id, rank"),
              qn_select(taken, "user_id, movie_id, 1 as taken"), QN_JOIN_LEFT, "user_id, movie_id", NULL);
  rows = qn_join(rows, counts, QN_JOIN_INNER, "user_id", NULL);
  rows = qn_group_by(qn_select(rows, "user_id, rank, taken, n_taken"), "user_id", "rank", judge_user, NULL,
                     "recall int64, ndcg int64");
  rows = qn_reduce(rows, NULL, "count(*) as n, sum(recall) as recall, sum(ndcg) as ndcg");
  return qn_select(rows, "recall::float64 / 1e9 / n as recall, ndcg::float64 / 1e9 / n as ndcg, 1 as one");
}

// What was watched is counted, not rated; a title that was not may still be liked, so that it was is weak
// evidence.
static qn_als_options watching(qn_als_options options) {
  options.implicit = true;
  options.alpha = 2;
  options.l2 = 0.3;
  return options;
}

// Learns from four fifths of the ratings and judges by the rest: "metric, recommender, baseline".
static qn_dataset *judge_recommender(qn_dataset *train, qn_dataset *test, const qn_training *rated,
                                     const qn_training *watched, qn_als_options options) {
  const qn_als_options watch_options = watching(options);
  qn_model *ratings = qn_fit_als(train, rated, &options);
  qn_dataset *metrics = rating_errors(train, test, ratings);
  qn_dataset *ours = judge(qn_recommend(qn_fit_als(train, watched, &watch_options), N_BEST), test);
  qn_dataset *both =
      qn_cache(qn_join(ours, judge(recommend_popular(train), test), QN_JOIN_INNER, "one", NULL));
  metrics = qn_union(
      metrics, qn_select(both, "'recall at 10' as metric, recall as recommender, recall_right as baseline"));
  metrics = qn_union(metrics,
                     qn_select(both, "'ndcg at 10' as metric, ndcg as recommender, ndcg_right as baseline"));
  return qn_select(
      metrics,
      "metric, round(recommender * 1e9) / 1e9 as recommender, round(baseline * 1e9) / 1e9 as baseline");
}

// Writes how good the recommender is, the recommender itself, and what it recommends.
static void recommend(qn_job *job, qn_dataset *ratings, qn_dataset *titles) {
  qn_als_options options = qn_als_defaults();
  const qn_training rated = {.features = "user_id, movie_id", .label = "rating", .report_seconds = -1};
  const qn_training watched = {.features = "user_id, movie_id", .report_seconds = -1};
  qn_dataset *train = NULL;
  qn_dataset *test = NULL;
  int64_t n_train = 0;
  int64_t n_test = 0;

  options.k = qn_job_option_int64(job, "factors", 0, 4096);
  options.max_iterations = qn_job_option_int64(job, "iterations", 1, 1000000);
  if (options.k == 0) {
    return;
  }
  qn_split(qn_select(ratings, "user_id, movie_id, rating"), 0.2, 1, &train, &test);
  qn_count(train, &n_train);
  qn_count(test, &n_test);
  if (n_train == 0 || n_test == 0) {
    qn_job_print(job, "Too few ratings to recommend titles by\n");
    return;
  }
  train = qn_cache(train);
  test = qn_cache(test);
  qn_dataset *metrics =
      qn_cache(qn_sort(judge_recommender(train, test, &rated, &watched, options), "metric"));
  qn_write(metrics, qn_job_output_path(job, "metrics.csv"));

  options = watching(options);
  qn_model *model = qn_fit_als(ratings, &watched, &options);
  qn_model_save(model, qn_job_output_path(job, "recommender.h5"));
  qn_dataset *best = qn_join(qn_recommend(model, N_BEST), titles, QN_JOIN_LEFT, "movie_id", NULL);
  best = qn_sort(qn_select(best, "user_id, rank, movie_id, title, score"), "user_id, rank");
  qn_write(best, qn_job_output_path(job, "recommendations.csv"));
  show_recommender(metrics, best);
  qn_job_print(job, "Recommendations, against each title's mean and the most watched titles\n");
  qn_show(metrics, 10);
  qn_job_print(job, "%s/metrics.csv\n%s/recommendations.csv\n%s/recommender.h5\n", qn_job_output(job),
               qn_job_output(job), qn_job_output(job));
}

// Taste, activity and pairs, as files and for the report.
static void describe_ratings(qn_job *job, qn_dataset *ratings, qn_dataset *titles, qn_dataset *popular,
                             int64_t n_pair_titles) {
  qn_dataset *taste = qn_cache(genre_taste(ratings, titles));
  qn_write(taste, qn_job_output_path(job, "genres.csv"));
  qn_dataset *activity = qn_cache(activity_by_hour(ratings));
  qn_write(activity, qn_job_output_path(job, "activity.csv"));
  qn_dataset *pairs = qn_cache(watched_together(ratings, titles, n_pair_titles));
  qn_write(pairs, qn_job_output_path(job, "pairs.csv"));
  show_ratings(ratings, popular, activity, taste, pairs);
}

int main(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "ratings",
       .argument = "FILES",
       .help = "CSV: userId,movieId,rating,timestamp (epoch seconds)",
       .is_required = true},
      {.name = "titles",
       .argument = "FILES",
       .help = "CSV: movieId,title,genres (a bar between genres)",
       .is_required = true},
      {.name = "prior",
       .argument = "N",
       .fallback = "20",
       .help = "votes of the overall mean that each title gets"},
      {.name = "pair-titles",
       .argument = "N",
       .fallback = "300",
       .help = "titles among which pairs are counted"},
      {.name = "factors", .argument = "N", .fallback = "32", .help = "tastes to learn; 0: no recommender"},
      {.name = "iterations", .argument = "N", .fallback = "15", .help = "of its training"},
      {.name = NULL},
  };
  static const qn_job_about about = {
      .name = "movies",
      .summary = "Popular titles, taste, activity, pairs and recommendations from ratings.",
      .output = "movies-results",
      .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const int64_t prior = qn_job_option_int64(job, "prior", 0, 1000000);
  const int64_t n_pair_titles = qn_job_option_int64(job, "pair-titles", 2, 100000);
  const qn_csv_options rating_format = {.schema =
                                            "userId int64, movieId int64, rating float64, timestamp int64",
                                        .rejects = qn_job_output_path(job, "rejects.csv")};
  const qn_csv_options title_format = {.schema = "movieId int64, title utf8, genres utf8"};

  qn_dataset *ratings = qn_read_csv(job, qn_job_option(job, "ratings"), &rating_format);
  ratings =
      qn_select(ratings, "userId as user_id, movieId as movie_id, rating, to_timestamp(timestamp) as seen");
  ratings = qn_filter(ratings, "rating between 0 and 5 and user_id is not null and movie_id is not null");
  ratings = qn_stage(ratings, qn_job_output_path(job, "ratings"));
  qn_dataset *titles = qn_read_csv(job, qn_job_option(job, "titles"), &title_format);
  titles = qn_cache(qn_select(titles, "movieId as movie_id, title, genres"));

  qn_dataset *popular = qn_cache(popular_titles(ratings, titles, (long long)prior));
  qn_write(popular, qn_job_output_path(job, "popular.csv"));
  describe_ratings(job, ratings, titles, popular, n_pair_titles);

  qn_job_print(job, "Popular titles\n");
  qn_show(qn_select(popular, "title, n, mean, score"), 10);
  recommend(job, ratings, titles);
  qn_job_print(job,
               "%s/popular.csv\n%s/genres.csv\n%s/activity.csv\n%s/pairs.csv\n%s/rejects.csv\n%s/ratings\n",
               qn_job_output(job), qn_job_output(job), qn_job_output(job), qn_job_output(job),
               qn_job_output(job), qn_job_output(job));
  return qn_job_close(job);
}
