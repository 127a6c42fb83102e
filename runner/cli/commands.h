/* commands.h - every command's entry: one cmd_*.c each, one row in main.c. By name. */
#ifndef BN_RUNNER_CLI_COMMANDS_H
#define BN_RUNNER_CLI_COMMANDS_H

int bn_cmd_bench(int argc, char **argv);
int bn_cmd_cancel(int argc, char **argv);
int bn_cmd_compare(int argc, char **argv);
int bn_cmd_completion(int argc, char **argv);
int bn_cmd_dashboard(int argc, char **argv);
int bn_cmd_data(int argc, char **argv);
int bn_cmd_diff(int argc, char **argv);
int bn_cmd_doctor(int argc, char **argv);
int bn_cmd_eval(int argc, char **argv);
int bn_cmd_export(int argc, char **argv);
int bn_cmd_gc(int argc, char **argv);
int bn_cmd_generate(int argc, char **argv);
int bn_cmd_logs(int argc, char **argv);
int bn_cmd_ls(int argc, char **argv);
int bn_cmd_man(int argc, char **argv);
int bn_cmd_note(int argc, char **argv);
int bn_cmd_pause(int argc, char **argv);
int bn_cmd_resume(int argc, char **argv);
int bn_cmd_retry(int argc, char **argv);
int bn_cmd_rm(int argc, char **argv);
int bn_cmd_show(int argc, char **argv);
int bn_cmd_sql(int argc, char **argv);
int bn_cmd_stop(int argc, char **argv);
int bn_cmd_sweep(int argc, char **argv);
int bn_cmd_sync(int argc, char **argv);
int bn_cmd_tag(int argc, char **argv);
int bn_cmd_train(int argc, char **argv);
int bn_cmd_watch(int argc, char **argv);

#endif
