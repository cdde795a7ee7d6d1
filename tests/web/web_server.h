/* The dashboard's files, pictures and a scripted daemon, for a browser under test. */
#ifndef DESKHAND_TESTS_WEB_SERVER_H
#define DESKHAND_TESTS_WEB_SERVER_H

/* Serves `web_dir` on a free port of 127.0.0.1 and returns the port; ends with the process. */
int web_server_start(const char *web_dir);
/* Waits until the page has called `method`; its request as text, or "" after 10 s. Heap. */
char *web_server_asked(const char *method);
/* Sends a text to the connected page. */
void web_server_say(const char *text);

#endif
