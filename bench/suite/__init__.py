# SPDX-License-Identifier: Apache-2.0
"""The benchmark suite: Quern and its peers on the same data. bench/README.md says how it measures."""
