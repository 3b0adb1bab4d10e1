// SPDX-License-Identifier: Apache-2.0
// quern generate movies: ratings and titles of a movie platform that does not exist, of any size. A row is
// made from its number and the seed alone (a counter-based generator, Salmon et al. 2011, in the splitmix
// form), so the files are the same bytes on any number of ranks. Planted in them, for later steps to find:
// popularity with a long tail, users and titles with hidden taste vectors (rating = mean + biases + their
// product + noise), and evening hours.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <quern/quern.h>

#include "cli/command.h"

enum { N_TASTES = 8 }; // length of the hidden vectors, and the number of genres

static const char *const genre_names[N_TASTES] = {"Action", "Comedy",   "Drama",     "Romance",
                                                  "Sci-Fi", "Thriller", "Animation", "Documentary"};
static const char *const first_words[] = {"Silent",  "Golden",  "Last",   "Hidden", "Broken",  "Crimson",
                                          "Distant", "Endless", "Frozen", "Secret", "Burning", "Gentle",
                                          "Iron",    "Lonely",  "Wild",   "Paper"};
static const char *const second_words[] = {"River",   "Empire",  "Summer",  "Garden", "Machine", "Letter",
                                           "Voyage",  "Mirror",  "Kingdom", "Harbor", "Promise", "Shadow",
                                           "Orchard", "Station", "Winter",  "Café"};

typedef struct movie_world {
  uint64_t seed;
  int64_t n_users, n_titles;
  double noise;
  bool is_unrounded;
} movie_world;

// One stream of random numbers per (seed, kind, item).
typedef struct random_stream {
  uint64_t state;
} random_stream;

static uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

static random_stream open_stream(const movie_world *world, uint64_t kind, int64_t item) {
  return (random_stream){.state = mix(mix(world->seed + kind * 0x9e3779b97f4a7c15ull) + (uint64_t)item)};
}

static double uniform(random_stream *stream) { // [0, 1)
  stream->state += 0x9e3779b97f4a7c15ull;
  return (double)(mix(stream->state) >> 11) * 0x1p-53;
}

static double
normal(random_stream *stream) { // the sum of 12 uniforms: exact on every machine, unlike log and cos
  double sum = -6;
  for (int i = 0; i < 12; i++) {
    sum += uniform(stream);
  }
  return sum;
}

// A title's main genre weighs most in its vector, so that genres mean something.
static void title_taste(const movie_world *world, int64_t title, double *bias, double *taste) {
  random_stream stream = open_stream(world, 1, title);
  const int main_genre = (int)(uniform(&stream) * N_TASTES);

  *bias = 0.35 * normal(&stream);
  for (int t = 0; t < N_TASTES; t++) {
    taste[t] = 0.15 * normal(&stream) + (t == main_genre ? 0.6 : 0);
  }
}

static void user_taste(const movie_world *world, int64_t user, double *bias, double *taste) {
  random_stream stream = open_stream(world, 2, user);

  *bias = 0.3 * normal(&stream);
  for (int t = 0; t < N_TASTES; t++) {
    taste[t] = 0.7 * normal(&stream);
  }
}

static double product(const double *a, const double *b) {
  double sum = 0;
  for (int t = 0; t < N_TASTES; t++) {
    sum += a[t] * b[t];
  }
  return sum;
}

// Ranks with a long tail: cubing a uniform number makes low ones common (density ~ rank^(-2/3)).
static int64_t popular_title(const movie_world *world, random_stream *stream) {
  const double u = uniform(stream);
  return (int64_t)(u * u * u * (double)world->n_titles);
}

// Of two titles that come along a user tends to take the one to her taste.
static int64_t choose_title(const movie_world *world, random_stream *stream, const double *user,
                            double *rating_part) {
  double bias[2];
  double taste[2][N_TASTES];
  double match[2];
  int64_t title[2];

  for (int i = 0; i < 2; i++) {
    title[i] = popular_title(world, stream);
    title_taste(world, title[i], &bias[i], taste[i]);
    match[i] = bias[i] + product(user, taste[i]);
  }
  const int better = match[1] > match[0];
  const int taken = uniform(stream) < 0.8 ? better : 1 - better;
  *rating_part = match[taken];
  return title[taken];
}

// Seconds since 1970: four years from 2020 on, most events in the evening, more at weekends.
static int64_t event_time(random_stream *stream) {
  static const unsigned char weights[24] = {4, 2, 1, 1, 1, 1,  2,  3,  4,  4,  4,  5,
                                            6, 6, 6, 7, 8, 10, 13, 17, 20, 19, 14, 8};
  int64_t day = (int64_t)(uniform(stream) * 1461);
  const int weekday = (int)((day + 2) % 7); // 2020-01-01 was a Wednesday; 0 is Monday
  int hour = 0;

  if (weekday < 5 && uniform(stream) < 0.25) {
    day += 5 - weekday; // put off to Saturday
  }
  int left = (int)(uniform(stream) * 166); // the sum of the weights
  while (left >= weights[hour]) {
    left -= weights[hour++];
  }
  return 1577836800 + day * 86400 + hour * 3600 + (int64_t)(uniform(stream) * 3600);
}

static qn_status make_ratings(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  const movie_world *world = ctx;

  for (int64_t row = first_row; row < first_row + n_rows; row++) {
    random_stream stream = open_stream(world, 3, row);
    double bias = 0;
    double taste[N_TASTES];
    double part = 0;
    const double u = uniform(&stream);
    const int64_t user = (int64_t)(u * u * (double)world->n_users); // some watch far more than others
    user_taste(world, user, &bias, taste);
    const int64_t title = choose_title(world, &stream, taste, &part);
    const double value = 3.4 + bias + part + world->noise * normal(&stream);
    const double rounded = floor(value * 2 + 0.5) / 2; // half stars
    const double stars = rounded < 0.5 ? 0.5 : rounded > 5 ? 5 : rounded;
    qn_append_int64(out, user + 1);
    qn_append_int64(out, title + 1);
    qn_append_float64(out, world->is_unrounded ? value : stars);
    qn_append_int64(out, event_time(&stream));
  }
  return QN_OK;
}

static qn_status make_titles(int64_t first_row, int64_t n_rows, qn_appender *out, void *ctx) {
  const movie_world *world = ctx;

  for (int64_t title = first_row; title < first_row + n_rows; title++) {
    random_stream stream = open_stream(world, 4, title);
    double bias = 0;
    double taste[N_TASTES];
    char text[128];
    char genres[128] = "";
    title_taste(world, title, &bias, taste);
    const char *first = first_words[(int)(uniform(&stream) * 16)];
    const char *second = second_words[(int)(uniform(&stream) * 16)];
    const int year = 1950 + (int)(uniform(&stream) * 74);
    const bool has_article = uniform(&stream) < 0.3; // "River, The (1999)" must be quoted
    const int n =
        has_article
            ? snprintf(text, sizeof text, "%s %s %lld, The (%d)", first, second, (long long)title + 1, year)
            : snprintf(text, sizeof text, "%s %s %lld (%d)", first, second, (long long)title + 1, year);
    for (int t = 0; t < N_TASTES; t++) {
      if (taste[t] > 0.25) {
        snprintf(genres + strlen(genres), sizeof genres - strlen(genres), "%s%s",
                 genres[0] == '\0' ? "" : "|", genre_names[t]);
      }
    }
    qn_append_int64(out, title + 1);
    qn_append_text(out, text, n);
    qn_append_text(out, genres[0] == '\0' ? "(no genres listed)" : genres,
                   (int64_t)strlen(genres[0] == '\0' ? "(no genres listed)" : genres));
  }
  return QN_OK;
}

static int generate_movies(int argc, char **argv) {
  static const qn_option options[] = {
      {.name = "events", .argument = "N", .fallback = "1000000", .help = "ratings"},
      {.name = "users", .argument = "N", .help = "users (default: a hundredth of the events)"},
      {.name = "titles", .argument = "N", .help = "titles (default: a tenth of the users)"},
      {.name = "noise",
       .argument = "S",
       .fallback = "0.7",
       .help = "standard deviation of a rating's chance part"},
      {.name = "unrounded", .help = "ratings as planted: not half stars from 0.5 to 5"},
      {.name = "seed", .argument = "N", .fallback = "1", .help = "other seeds make other worlds"},
      {.name = NULL},
  };
  static const qn_job_about about = {.name = "quern generate movies",
                                     .summary =
                                         "Writes ratings.csv and movies.csv of an invented movie platform.",
                                     .output = "generated-movies",
                                     .options = options};
  qn_job *job = qn_job_open(argc, argv, &about);
  const int64_t n_events = qn_job_option_int64(job, "events", 1, 1000000000000);
  movie_world world = {.seed = (uint64_t)qn_job_option_int64(job, "seed", 0, 1000000000000),
                       .n_users = n_events / 100 + 1,
                       .noise = qn_job_option_float64(job, "noise", 0, 100),
                       .is_unrounded = qn_job_option(job, "unrounded") != NULL};

  if (qn_job_option(job, "users") != NULL) {
    world.n_users = qn_job_option_int64(job, "users", 1, 1000000000000);
  }
  world.n_titles = world.n_users / 10 + 10;
  if (qn_job_option(job, "titles") != NULL) {
    world.n_titles = qn_job_option_int64(job, "titles", 1, 1000000000);
  }
  qn_write(qn_generate(job, "userId int64, movieId int64, rating float64, timestamp int64", n_events,
                       make_ratings, &world),
           qn_job_output_path(job, "ratings.csv"));
  qn_write(qn_generate(job, "movieId int64, title utf8, genres utf8", world.n_titles, make_titles, &world),
           qn_job_output_path(job, "movies.csv"));
  qn_job_print(job, "%s/ratings.csv\n%s/movies.csv\n", qn_job_output(job), qn_job_output(job));
  return qn_job_close(job);
}

int quern_generate(int argc, char **argv) {
  if (argc >= 2 && strcmp(argv[1], "movies") == 0) {
    return generate_movies(argc - 1, argv + 1);
  }
  const bool is_help = argc == 2 && strcmp(argv[1], "--help") == 0;
  fprintf(is_help ? stdout : stderr, "usage: [mpirun -n RANKS] quern generate movies [OPTION...]\n"
                                     "`quern generate movies --help` lists the options.\n");
  return is_help ? 0 : 2;
}
