"""Icons by their names in icon themes, and what people call them."""

# none of the evaluation set's
ICON_THEMES = (
    'Adwaita Adwaita Tango elementary-xfce elementary-xfce-dark mate menta oxygen Numix gnome'.split()
)

ICONS = dict(line.split(' ', 1) for line in '''document-new new|new file|new document
document-open open|open file
document-save save
document-save-as save as
document-print print
document-properties properties
document-send send
edit-copy copy
edit-cut cut
edit-paste paste
edit-undo undo
edit-redo redo
edit-find find|search
edit-find-replace replace|find and replace
edit-clear clear
edit-delete delete
edit-select-all select all
list-add add
list-remove remove
go-home home|go home
go-next next|forward
go-previous back|previous
go-up up|go up
go-down down|go down
go-first first|go first
go-last last|go last
go-jump go to
view-refresh refresh|reload
view-fullscreen full screen
view-sort-ascending sort ascending
zoom-in zoom in
zoom-out zoom out
zoom-fit-best fit|best fit
zoom-original normal size
process-stop stop
media-playback-start play|start
media-playback-pause pause
media-playback-stop stop playing
media-record record
media-skip-forward skip forward
media-skip-backward skip backward
folder-new new folder
folder folder
user-trash trash
user-home home folder
bookmark-new add bookmark
help-about about
help-contents help
system-search search
system-run run
preferences-system settings|preferences
view-list list|list view
view-grid grid|icon view
window-close close
format-text-bold bold
format-text-italic italic
format-text-underline underline
format-justify-left align left
format-justify-center centre|align centre
format-justify-right align right
insert-image insert image
insert-link insert link
mail-send send mail
mail-reply-sender reply
mail-forward forward mail
mail-attachment attach|attachment
object-rotate-left rotate left
object-rotate-right rotate right
tab-new new tab
tools-check-spelling check spelling
application-exit quit|exit
dialog-information information
emblem-favorite favourite
camera-photo photo|camera
printer printer
network-server server
computer computer
audio-volume-high volume
audio-volume-muted mute
open-menu menu'''.splitlines())

# which picture something is called for, from 0 on
PICTURE = {called: i for i, names in enumerate(ICONS.values()) for called in names.split('|')}


def picture(e):
    """Which picture shows a control that is known by it, None for others."""
    return PICTURE.get(e['label'].lower()) if e.get('icon') else None
