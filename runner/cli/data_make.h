/* data_make.h - the subcommands of bnexp data that make something large. */
#ifndef BN_RUNNER_CLI_DATA_MAKE_H
#define BN_RUNNER_CLI_DATA_MAKE_H

int bn_data_tokenizer(int argc, char **argv);
int bn_data_fetch(int argc, char **argv);
int bn_data_prepare(int argc, char **argv);

#endif
