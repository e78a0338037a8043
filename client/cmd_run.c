#include "config.h"
#include "cli.h"
int cmd_run(struct cli *cli, int argc, char **argv) { (void)cli;(void)argc;(void)argv; return 125; }
