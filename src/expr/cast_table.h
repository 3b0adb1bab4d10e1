// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "expr/function_table.h"

extern const qn_function_table qn_number_casts;
extern const qn_function_table qn_text_casts;
