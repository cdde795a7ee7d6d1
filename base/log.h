/* The log: one line a failure, to stderr (systemd's journal takes its levels from "<N>").
 * Only agent/, serve/ and client/ log; lower folders return a sentence in `struct err`.
 * Text from a model, a window or a user goes through str_printable() first; typed text is logged
 * as a length, secrets never. Any thread. */
#ifndef DESKHAND_BASE_LOG_H
#define DESKHAND_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

void log_set_level(enum log_level max);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
