// SPDX-License-Identifier: Apache-2.0
// als_driver by itself, to be killed while it runs.
int als_driver_main(int argc, char **argv);

int main(int argc, char **argv) {
  return als_driver_main(argc, argv);
}
