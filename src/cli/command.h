// SPDX-License-Identifier: Apache-2.0
// The subcommands of `quern`, one file each: each takes argc and argv from its own name on and returns the
// exit code.
#pragma once

int quern_generate(int argc, char **argv);
int quern_inspect(int argc, char **argv);
int quern_new(int argc, char **argv);
