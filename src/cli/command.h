// SPDX-License-Identifier: Apache-2.0
// The subcommands of `quern`, each takes argc and argv from its own name on and returns the
// exit code.
#pragma once

int quern_compare(int argc, char **argv);
int quern_doctor(int argc, char **argv);
int quern_evaluate(int argc, char **argv);
int quern_export_onnx(int argc, char **argv);
int quern_generate(int argc, char **argv);
int quern_history(int argc, char **argv);
int quern_inspect(int argc, char **argv);
int quern_model(int argc, char **argv);
int quern_new(int argc, char **argv);
int quern_predict(int argc, char **argv);
int quern_report(int argc, char **argv);
int quern_resume(int argc, char **argv);
int quern_search(int argc, char **argv);
int quern_submit(int argc, char **argv);
int quern_top(int argc, char **argv);
int quern_train(int argc, char **argv);
