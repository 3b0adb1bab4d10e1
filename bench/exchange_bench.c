// SPDX-License-Identifier: Apache-2.0
// The exchange against MPI_Alltoallv of the same bytes, in alternation, in one process per rank. Rows go to
// random ranks; what arrives is added up, so that nothing is left out. MPI_Alltoallv is called once with all
// bytes, which the ratio is to, and in rounds that send the same cached buffers again and again, which nobody
// does who has rows to send. On a busy machine the best runs and the processor time tell more than medians.
#include <getopt.h>
#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/hash.h"
#include "base/memory.h"
#include "column/builder.h"
#include "comm/comm_state.h"
#include "comm/exchange.h"

enum { MOST_BATCHES = 64, ROUND_BYTES = 1 << 20, MOST_RUNS = 99 };

typedef struct {
  int64_t n_rows; // per rank
  int64_t text_bytes;
  int n_runs;
  int64_t n_batches;    // that are sent again and again
  int64_t shared_bytes; // per rank
  int ranks_per_node;   // 0: as they are
  qn_exchange_options exchange;
  bool is_plain_left_out;
} settings;

typedef struct {
  qn_comm *comm;
  qn_schema *schema;
  qn_batch *batches[MOST_BATCHES];
  int32_t *destinations; // [n_batches, QN_BATCH_ROWS]
  int64_t row_bytes;
} input;

static void must(qn_status status, const qn_error *err) {
  if (status != QN_OK) {
    fprintf(stderr, "%s\n", err->message);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
}

static void *must_alloc(int64_t size) {
  void *memory = qn_memory_alloc(size);
  if (memory == NULL) {
    fprintf(stderr, "no memory for %" PRId64 " bytes\n", size);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  memset(memory, 0, (size_t)size);
  return memory;
}

static qn_batch *make_batch(const input *in, const settings *wanted, int64_t number) {
  qn_error err = {0};
  qn_batch_builder builder = {0};
  qn_batch *batch = NULL;
  char text[256];
  must(qn_batch_builder_init(&builder, in->schema, &err), &err);
  for (int64_t i = 0; i < QN_BATCH_ROWS; i++) {
    const int64_t row = number * QN_BATCH_ROWS + i;
    const uint64_t hash = qn_hash_mix((uint64_t)(row * in->comm->size + in->comm->rank));
    const int64_t key = (int64_t)(hash >> 1);
    const double value = (double)row;
    must(qn_column_builder_append_value(&builder.columns[0], &row, &err), &err);
    must(qn_column_builder_append_value(&builder.columns[1], &key, &err), &err);
    must(qn_column_builder_append_value(&builder.columns[2], &value, &err), &err);
    if (wanted->text_bytes > 0) {
      const int64_t size = (int64_t)(hash % (uint64_t)(2 * wanted->text_bytes));
      memset(text, (int)('a' + hash % 26), sizeof text);
      must(qn_column_builder_append_text(&builder.columns[3], text, size < 256 ? size : 256, &err), &err);
    }
    in->destinations[row] = (int32_t)(qn_hash_mix(hash) % (uint64_t)in->comm->size);
  }
  builder.n_rows = QN_BATCH_ROWS;
  must(qn_batch_builder_finish(&builder, &batch, &err), &err);
  qn_batch_builder_release(&builder);
  return batch;
}

static void make_input(input *in, const settings *wanted) {
  qn_error err = {0};
  const char *text =
      wanted->text_bytes > 0 ? "a int64, b int64, c float64, d utf8" : "a int64, b int64, c float64";
  must(qn_schema_parse(text, &in->schema, &err), &err);
  in->destinations = must_alloc(wanted->n_batches * QN_BATCH_ROWS * 4);
  int64_t n_bytes = 0;
  for (int64_t i = 0; i < wanted->n_batches; i++) {
    in->batches[i] = make_batch(in, wanted, i);
    n_bytes += qn_batch_n_bytes(in->batches[i]);
  }
  in->row_bytes = n_bytes / (wanted->n_batches * QN_BATCH_ROWS);
}

typedef struct {
  int64_t n_rows, sum;
} totals;

static qn_status receive(void *ctx, const qn_batch *batch, int from_rank, qn_error *err) {
  totals *got = ctx;
  const int64_t *values = batch->columns[0].values;
  (void)from_rank, (void)err;
  got->n_rows += batch->n_rows;
  for (int64_t i = 0; i < batch->n_rows; i++) {
    got->sum += values[i];
  }
  return QN_OK;
}

typedef struct {
  double seconds;
  double cpu_seconds;
  qn_exchange_counts counts;
  int64_t memory_bytes;
} outcome;

static double cpu_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static outcome run_exchange(const input *in, const settings *wanted) {
  qn_error err = {0};
  qn_exchange *exchange = NULL;
  outcome result = {0};
  totals got = {0};
  int64_t sums[4] = {0};
  const int64_t memory_before = qn_memory_used();
  int64_t memory_peak = 0;

  MPI_Barrier(MPI_COMM_WORLD);
  const double cpu_start = cpu_seconds();
  const int64_t start = qn_clock_ns();
  must(qn_exchange_open(in->comm, in->schema, &wanted->exchange, receive, &got, &exchange, &err), &err);
  for (int64_t sent = 0, i = 0; sent < wanted->n_rows;
       sent += QN_BATCH_ROWS, i = (i + 1) % wanted->n_batches) {
    must(qn_exchange_scatter(exchange, in->batches[i], in->destinations + i * QN_BATCH_ROWS, &err), &err);
    sums[0] += QN_BATCH_ROWS;
    sums[1] += (i * QN_BATCH_ROWS + i * QN_BATCH_ROWS + QN_BATCH_ROWS - 1) * QN_BATCH_ROWS / 2;
    memory_peak = qn_memory_used() > memory_peak ? qn_memory_used() : memory_peak;
  }
  must(qn_exchange_finish(exchange, &err), &err);
  MPI_Barrier(MPI_COMM_WORLD);
  result.seconds = 1e-9 * (double)(qn_clock_ns() - start);
  result.cpu_seconds = cpu_seconds() - cpu_start;
  result.counts = qn_exchange_counted(exchange);
  result.memory_bytes = memory_peak - memory_before;
  qn_exchange_close(exchange);
  sums[2] = got.n_rows;
  sums[3] = got.sum;
  must(qn_comm_reduce_int64(in->comm, QN_SUM, sums, 4, &err), &err);
  must(qn_comm_agree(in->comm, QN_OK, &err), &err);
  if (sums[0] != sums[2] || sums[1] != sums[3]) {
    fprintf(stderr, "rows were lost: %" PRId64 " of %" PRId64 " arrived\n", sums[2], sums[0]);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  return result;
}

typedef struct {
  int *counts, *starts; // [n_ranks]
  uint8_t *from, *to;
} plain_buffers;

// MPI_Alltoallv of n_bytes per rank and call, n_calls times.
static outcome run_plain(const input *in, const plain_buffers *buffers, int64_t n_bytes, int64_t n_calls) {
  const int n_ranks = in->comm->size;
  outcome result = {0};
  for (int i = 0; i < n_ranks; i++) {
    buffers->counts[i] = (int)(n_bytes / n_ranks);
    buffers->starts[i] = (int)(n_bytes / n_ranks * i);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  const double cpu_start = cpu_seconds();
  const int64_t start = qn_clock_ns();
  for (int64_t i = 0; i < n_calls; i++) {
    MPI_Alltoallv(buffers->from, buffers->counts, buffers->starts, MPI_BYTE, buffers->to, buffers->counts,
                  buffers->starts, MPI_BYTE, MPI_COMM_WORLD);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  result.seconds = 1e-9 * (double)(qn_clock_ns() - start);
  result.cpu_seconds = cpu_seconds() - cpu_start;
  return result;
}

static int compare_doubles(const void *a, const void *b) {
  const double x = *(const double *)a;
  const double y = *(const double *)b;
  return (x > y) - (x < y);
}

static double median(double *values, int n) {
  qsort(values, (size_t)n, sizeof *values, compare_doubles);
  return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// The rates are sorted afterwards.
static void print_rate(const char *what, double *rates, int n_runs, double n_bytes) {
  const double middle = median(rates, n_runs);
  printf("%-26s %8.4f GB/s per rank, %.1f ms; at best %.4f\n", what, middle, n_bytes / middle / 1e6,
         rates[n_runs - 1]);
}

static void print_counts(const input *in, const outcome *last) {
  qn_error err = {0};
  const qn_exchange_counts *counts = &last->counts;
  int64_t most[] = {counts->messages_sent, counts->messages_between_nodes, counts->bytes_sent,
                    counts->bytes_shared,  counts->bytes_between_nodes,    last->memory_bytes,
                    counts->wait_ns};
  must(qn_comm_reduce_int64(in->comm, QN_MAX, most, sizeof most / sizeof *most, &err), &err);
  must(qn_comm_agree(in->comm, QN_OK, &err), &err);
  if (in->comm->rank == 0) {
    printf("most of a rank: %" PRId64 " messages (%" PRId64 " between nodes), %" PRId64
           " bytes sent (%" PRId64 " shared, %" PRId64 " between nodes), %" PRId64 " KiB of buffers, %" PRId64
           " ms waited\n",
           most[0], most[1], most[2], most[3], most[4], most[5] / 1024, most[6] / 1000000);
  }
}

static void bench(const input *in, const settings *wanted) {
  const int64_t n_bytes = wanted->n_rows * in->row_bytes;
  const int64_t round_bytes =
      (int64_t)ROUND_BYTES * in->comm->size < n_bytes ? (int64_t)ROUND_BYTES * in->comm->size : n_bytes;
  double ours[MOST_RUNS], whole[MOST_RUNS], rounds[MOST_RUNS], ratios[MOST_RUNS], cpu[MOST_RUNS],
      plain_cpu[MOST_RUNS];
  outcome last = {0};
  plain_buffers buffers = {.counts = must_alloc((int64_t)in->comm->size * 4),
                           .starts = must_alloc((int64_t)in->comm->size * 4)};
  if (!wanted->is_plain_left_out) {
    buffers.from = must_alloc(n_bytes);
    buffers.to = must_alloc(n_bytes);
  }
  run_exchange(in, wanted); // the first run pays for fresh memory
  for (int run = 0; run < wanted->n_runs; run++) {
    last = run_exchange(in, wanted);
    ours[run] = (double)n_bytes / last.seconds / 1e9;
    cpu[run] = last.cpu_seconds * 1e9 / (double)wanted->n_rows;
    whole[run] = rounds[run] = ratios[run] = 0;
    if (!wanted->is_plain_left_out) {
      const outcome once = run_plain(in, &buffers, n_bytes, 1);
      const outcome many = run_plain(in, &buffers, round_bytes, n_bytes / round_bytes);
      whole[run] = (double)n_bytes / once.seconds / 1e9;
      rounds[run] = (double)n_bytes / many.seconds / 1e9;
      ratios[run] = ours[run] / whole[run];
      plain_cpu[run] = once.cpu_seconds * 1e9 / (double)wanted->n_rows;
    }
  }
  if (in->comm->rank == 0) {
    printf("%d ranks, %d nodes, %" PRId64 " rows of %" PRId64 " bytes per rank\n", in->comm->size,
           qn_comm_n_nodes(in->comm), wanted->n_rows, in->row_bytes);
    print_rate("exchange", ours, wanted->n_runs, (double)n_bytes);
    const double middle_cpu = median(cpu, wanted->n_runs);
    printf("  %.2f ns of processor per row, at best %.2f (rank 0)\n", middle_cpu, cpu[0]);
    if (!wanted->is_plain_left_out) {
      print_rate("MPI_Alltoallv, once", whole, wanted->n_runs, (double)n_bytes);
      print_rate("MPI_Alltoallv, in rounds", rounds, wanted->n_runs, (double)n_bytes);
      const double middle_plain = median(plain_cpu, wanted->n_runs);
      printf("  one call: %.2f ns of processor per row, at best %.2f (rank 0)\n", middle_plain, plain_cpu[0]);
      const double middle = median(ratios, wanted->n_runs);
      printf("ratio to one call: median %.2f, of the best runs %.2f, of processor time at best %.2f\n",
             middle, ours[wanted->n_runs - 1] / whole[wanted->n_runs - 1], plain_cpu[0] / cpu[0]);
    }
  }
  print_counts(in, &last);
  qn_memory_free(buffers.from);
  qn_memory_free(buffers.to);
  qn_memory_free(buffers.counts);
  qn_memory_free(buffers.starts);
}

static bool parse_settings(int argc, char **argv, settings *wanted) {
  static const struct option options[] = {
      {"rows", required_argument, NULL, 'r'},    {"text", required_argument, NULL, 't'},
      {"runs", required_argument, NULL, 'n'},    {"batches", required_argument, NULL, 'c'},
      {"shared", required_argument, NULL, 's'},  {"ranks-per-node", required_argument, NULL, 'p'},
      {"buffers", required_argument, NULL, 'b'}, {"route", required_argument, NULL, 'o'},
      {"no-plain", no_argument, NULL, 'x'},      {NULL, 0, NULL, 0}};
  int code = 0;
  while ((code = getopt_long(argc, argv, "", options, NULL)) != -1) {
    const int64_t number = optarg != NULL ? (int64_t)strtod(optarg, NULL) : 0;
    switch (code) {
    case 'r':
      wanted->n_rows = number;
      break;
    case 't':
      wanted->text_bytes = number;
      break;
    case 'n':
      wanted->n_runs = number > 0 && number < MOST_RUNS ? (int)number : MOST_RUNS;
      break;
    case 'c':
      wanted->n_batches = number > 0 && number < MOST_BATCHES ? number : MOST_BATCHES;
      break;
    case 's':
      wanted->shared_bytes = number;
      break;
    case 'p':
      wanted->ranks_per_node = (int)number;
      break;
    case 'b':
      wanted->exchange.buffer_bytes = number;
      break;
    case 'o':
      wanted->exchange.route = strcmp(optarg, "node") == 0     ? QN_ROUTE_BY_NODE
                               : strcmp(optarg, "direct") == 0 ? QN_ROUTE_DIRECT
                                                               : QN_ROUTE_AUTO;
      break;
    case 'x':
      wanted->is_plain_left_out = true;
      break;
    default:
      return false;
    }
  }
  return optind == argc;
}

int main(int argc, char **argv) {
  settings wanted = {.n_rows = 4 << 20, .n_runs = 7, .n_batches = 16, .shared_bytes = 4 << 20};
  input in = {0};
  qn_error err = {0};
  if (!parse_settings(argc, argv, &wanted)) {
    fprintf(stderr,
            "usage: exchange_bench [--rows N] [--text BYTES] [--runs N] [--batches N] [--shared BYTES] "
            "[--ranks-per-node N] [--buffers BYTES] [--route direct|node] [--no-plain]\n");
    return 2;
  }
  qn_memory_tune(0);
  must(qn_comm_open(&in.comm, &err), &err);
  if (wanted.ranks_per_node > 0) {
    must(qn_nodes_find(in.comm, wanted.ranks_per_node, &err), &err);
  }
  if (wanted.shared_bytes > 0) {
    must(qn_comm_share_memory(in.comm, wanted.shared_bytes, &err), &err);
  }
  make_input(&in, &wanted);
  bench(&in, &wanted);
  for (int64_t i = 0; i < wanted.n_batches; i++) {
    qn_batch_free(in.batches[i]);
  }
  qn_memory_free(in.destinations);
  qn_schema_free(in.schema);
  qn_comm_close(in.comm);
  return 0;
}
