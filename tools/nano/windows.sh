#!/bin/sh
# All the real windows to train on:  sh windows.sh FOLDER   (what is there already stays)
#                                    sh windows.sh packages (Debian's that the looks come from)
# Where NODE_MODULES names npm's folder with web_libraries.py's packages, web pages are dressed in those too.
# Six generators at a time, each on an Xvfb of its own: they wait more than they work. PYTHON draws the web
# pages (it needs Pillow), the system's Python everything else.
set -e
if [ "$1" = packages ]; then
    echo greybird-gtk-theme numix-gtk-theme materia-gtk-theme blackbird-gtk-theme bluebird-gtk-theme \
        breeze-gtk-theme mate-themes murrine-themes gtk2-engines-murrine gnome-themes-extra yaru-theme-gtk \
        tango-icon-theme mate-icon-theme gnome-icon-theme elementary-xfce-icon-theme numix-icon-theme \
        oxygen-icon-theme librsvg2-common fonts-liberation fonts-urw-base35 fonts-noto-core fonts-noto-mono \
        fonts-cantarell fonts-roboto fonts-open-sans fonts-lato fonts-hack fonts-firacode \
        python3-pyqt6 gir1.2-gtk-4.0 gir1.2-adw-1
    exit
fi
NODE_MODULES=${NODE_MODULES:+$(realpath "$NODE_MODULES")}
cd "$(dirname "$0")"
case $1 in /*) ;; *) echo "windows.sh: $1 is not an absolute path" >&2 && exit 2 ;; esac
mkdir -p "$1/log"

# openbox' theme, screen, generator, seed, count, mode
jobs='
Clearlooks 1280x900 gen_xaw.py 81 900
Clearlooks 1280x900 gen_term.py 82 900
Clearlooks-3.4 1280x900 gen_app.py 61 800
- - gen_web.py 34 1300 pages
Clearlooks 1024x768 gen_real.py 3 1500 forms
Clearlooks-Olive 1280x900 gen_app.py 62 700
Clearlooks 1280x900 gen_qt.py 72 700 apps
Artwiz-boxed 1280x900 gen_app.py 63 700
Clearlooks 1280x900 gen_real.py 51 900 wide
Breeze-ob 1280x900 gen_app.py 64 700
Clearlooks 1024x768 gen_real.py 1 1200
Onyx 1280x900 gen_app.py 65 600
Clearlooks 1024x768 gen_tk.py 21 1000
- - gen_web.py 31 800
Clearlooks 1280x900 gen_qt.py 41 800
Clearlooks-3.4 1280x900 gen_qt.py 71 600 apps
Clearlooks 1280x900 gen_qt.py 43 800 apps 6
Clearlooks 1280x900 gen_qt.py 44 600 6
Clearlooks 1280x900 gen_gtk4.py 91 600
Clearlooks 1280x900 gen_gtk4.py 92 600 adw'
if [ "$NODE_MODULES" ]; then
    jobs="$jobs
- - gen_web.py 36 1600 libraries $NODE_MODULES"
fi

one='out=$0 theme=$1 screen=$2 generator=$3
shift 3
exec >"$out/log/${generator%.py}_$1" 2>&1
if [ "$theme" = - ]; then
    exec "${PYTHON:-python3}" $generator "$out" "$@"
fi
export XDG_CONFIG_HOME="$out/log/$theme"
mkdir -p "$XDG_CONFIG_HOME/openbox"
sed "s|<name>Clearlooks</name>|<name>$theme</name>|" /etc/xdg/openbox/rc.xml >"$XDG_CONFIG_HOME/openbox/rc.xml"
# where a toolkit crashes the generator goes on with the next window
exec xvfb-run -a -s "-screen 0 ${screen}x24" sh -c "openbox & for crash in \$(seq 99); do /usr/bin/python3 \"\$@\" && exit; done" sh $generator "$out" "$@"'

echo "$jobs" | grep . | xargs -P 6 -L 1 sh -c "$one" "$1"
"${PYTHON:-python3}" blank.py "$1"
ls "$1"/*.json | wc -l
