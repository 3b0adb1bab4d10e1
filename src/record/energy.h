// SPDX-License-Identifier: Apache-2.0
// What the processors of this machine use, where the system lets one read it (Intel's and AMD's RAPL).
#pragma once

/// Local. Joules on a counter of the whole machine; NaN if it cannot be read.
double qn_energy_now(void);
/// Local. Joules used since qn_energy_now() gave `before`; NaN if that is not known. A counter that has begun
/// anew meanwhile (after some 15 minutes to hours, as large as it is) is counted once.
double qn_energy_since(double before);
