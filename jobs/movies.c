// SPDX-License-Identifier: Apache-2.0
// The movie platform: cleans its ratings, finds popular titles, taste per genre, activity by hour and
// weekday, and titles that are watched together; stages the cleaned ratings for training.
//
//   mpirun -n 4 movies --ratings ratings.csv --titles movies.csv --output results
#include <stdio.h>
#include <string.h>
#include <quern/quern.h>

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
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "movies",
                                     .summary = "Popular titles, taste, activity and pairs from ratings.",
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
  qn_dataset *activity = qn_select(ratings, "extract(isodow from seen)::int32 as weekday, "
                                            "extract(hour from seen)::int32 as hour, user_id");
  activity = qn_reduce(activity, "weekday, hour", "count(*) as n, count(distinct user_id) as users");
  qn_write(popular, qn_job_output_path(job, "popular.csv"));
  qn_write(genre_taste(ratings, titles), qn_job_output_path(job, "genres.csv"));
  qn_write(qn_sort(activity, "weekday, hour"), qn_job_output_path(job, "activity.csv"));
  qn_write(watched_together(ratings, titles, n_pair_titles), qn_job_output_path(job, "pairs.csv"));

  qn_job_print(job, "Popular titles\n");
  qn_show(qn_select(popular, "title, n, mean, score"), 10);
  qn_job_print(job,
               "%s/popular.csv\n%s/genres.csv\n%s/activity.csv\n%s/pairs.csv\n%s/rejects.csv\n%s/ratings\n",
               qn_job_output(job), qn_job_output(job), qn_job_output(job), qn_job_output(job),
               qn_job_output(job), qn_job_output(job));
  return qn_job_close(job);
}
