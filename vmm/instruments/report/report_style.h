/* The page's style sheet, page.css, as text. */
#ifndef VMM_INSTRUMENTS_REPORT_REPORT_STYLE_H
#define VMM_INSTRUMENTS_REPORT_REPORT_STYLE_H

extern const char report_style[];

#endif
