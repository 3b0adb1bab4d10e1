#include "kit/kit.h"
#include "expr/expr.h"
int main(int argc, char **argv) {
  qn_batch *b = kit_batch("a int32, b int64, x float64, s utf8, d date, t timestamp, f bool, g float32, y binary, \"userId\" int32",
   "1|10|1.5|abc|2020-01-31|2020-01-31 10:20:30.25|t|0.5|xx|7\n-2|~|~|Äpfel|1999-12-31|1999-12-31 23:59:59|f|~|~|8\n~|0|NaN|~|~|~|~|-1|yy|9\n0|5|-0.0||2024-02-29|2024-02-29 00:00:00|t|3|zz|~\n");
  for (int i = 1; i < argc; i++) {
    qn_arena arena = {0}; qn_error err = {0}; const qn_expr *e; 
    if (qn_expr_bind(argv[i], "filter", qn_batch_schema(b), &arena, &e, &err) != QN_OK) { printf("%s\n", err.message); }
    else { qn_column c[1]; if (qn_expr_eval(e, b, c, &err) != QN_OK) printf("%-30s EVAL %s\n", argv[i], err.message);
      else { qn_schema *sc; qn_field fl = {"v", c[0].type}; qn_schema_new(&fl, 1, &sc, &err); qn_batch *o; 
        if (qn_batch_new_take(sc, qn_batch_n_rows(b), c, &o, &err)) printf("%s\n", err.message);
        char *txt = kit_batch_text(o); for (char*p=txt;*p;p++) if(*p=='\n')*p=' '; printf("%-30s %s: %s\n", argv[i], qn_type_name(qn_expr_type(e)), txt); free(txt); qn_batch_free(o); qn_schema_free(sc);} }
    qn_arena_release(&arena);
  }
  qn_batch_free(b);
}
