/* page.h - what the pages of simulations are made of: one HTML file with its styles inside. */
#ifndef PAGE_H
#define PAGE_H

#include "core.h"

#include <jansson.h>
#include <stdio.h>

void page_text(FILE *f, const char *p); /* escaped */
void page_begin(FILE *f, const char *title);
void page_end(FILE *f, const char *command); /* NULL: not told */
/* Closes f, an open_memstream() on text; NULL: it did not hold everything. */
char *page_take(sluice *s, FILE *f, char **text);
char *page_json(sluice *s, json_t *j); /* takes j, NULL: what made it found no memory */

#endif
