#!/bin/sh
# embed.sh NAME INPUT OUTPUT: writes a C file that defines `const char NAME[]` with INPUT's text.
set -eu
{
    echo "extern const char $1[];"
    echo "const char $1[] ="
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$/\\n"/' "$2"
    echo "    ;"
} > "$3"
