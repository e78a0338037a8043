/*
 * The parsers of the values of plain settings; see settings_value_fn.
 * For settings_table only.
 */
#ifndef AGENT_SETTINGS_VALUE_H
#define AGENT_SETTINGS_VALUE_H

#include "settings_table.h"

settings_value_fn settings_value_duration;
settings_value_fn settings_value_size;
settings_value_fn settings_value_count;
settings_value_fn settings_value_mode;
settings_value_fn settings_value_bool;
settings_value_fn settings_value_level;
settings_value_fn settings_value_path;
settings_value_fn settings_value_paths;
settings_value_fn settings_value_socket;
settings_value_fn settings_value_audit;
settings_value_fn settings_value_group;
settings_value_fn settings_value_url;
settings_value_fn settings_value_proxy;
settings_value_fn settings_value_pin;
settings_value_fn settings_value_listen;
settings_value_fn settings_value_preload;

/* A NULL-terminated list of strings, or NULL. */
void settings_value_list_free(char **list);

#endif /* AGENT_SETTINGS_VALUE_H */
