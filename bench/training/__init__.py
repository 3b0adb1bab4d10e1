# SPDX-License-Identifier: Apache-2.0
"""Training against peers: the same rows, the same number of cores, and the quality that each reaches. See bench/README.md."""
