/* page.c - see page.h. */
#include "page.h"

#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h1{font-size:1.5rem}"
    "h2{font-size:1.15rem;margin-top:2rem}"
    "table{border-collapse:collapse;font-size:.9rem}"
    "td,th{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left}"
    "td.best{font-weight:600}"
    "code{background:#f4f4f4;padding:.1rem .3rem;overflow-wrap:anywhere}"
    "svg{max-width:100%;height:auto}"
    ".scroll{overflow-x:auto}"
    ".legend span{margin-right:1rem;white-space:nowrap}"
    ".legend i{display:inline-block;width:.9rem;height:.9rem;margin-right:.3rem;vertical-align:-2px}";
/* clang-format on */

void page_text(FILE *f, const char *p)
{
    for (; *p; p++) switch (*p) {
        case '<': fputs("&lt;", f); break;
        case '>': fputs("&gt;", f); break;
        case '&': fputs("&amp;", f); break;
        case '"': fputs("&quot;", f); break;
        case '\'': fputs("&#39;", f); break;
        default: fputc(*p, f);
        }
}

void page_begin(FILE *f, const char *title)
{
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
          "content=\"width=device-width\"><title>",
          f);
    page_text(f, title);
    fprintf(f, "</title><style>%s</style></head><body>\n<h1>", style);
    page_text(f, title);
    fputs("</h1>\n", f);
}

void page_end(FILE *f, const char *command)
{
    if (command) {
        fputs("<h2>Command</h2>\n<p><code>", f);
        page_text(f, command);
        fputs("</code></p>\n", f);
    }
    fputs("</body></html>\n", f);
}

char *page_take(sluice *s, FILE *f, char **text)
{
    bool whole = !ferror(f);
    whole &= fclose(f) == 0;
    if (whole) return *text;
    free(*text);
    sluice_fail(s, SLUICE_E_MEMORY, "out of memory for the report");
    return NULL;
}

char *page_json(sluice *s, json_t *j)
{
    char *text = j ? json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(j);
    if (!text) sluice_fail(s, SLUICE_E_MEMORY, "out of memory for the summary");
    return text;
}
