# Completion of sharelock's command line in bash (4 or newer). The program itself says what may follow.
# shellcheck shell=bash
_sharelock() {
    local program=sharelock kind='' word
    command -v sharelock >/dev/null || program=$HOME/.local/bin/sharelock
    COMPREPLY=()
    {
        IFS= read -r kind
        while IFS=$'\t' read -r word _; do
            COMPREPLY+=("$word")
        done
    } < <(command "$program" --complete bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    case $kind in
        # Names are quoted as the line needs it; behind a folder the next name follows.
        paths)
            compopt -o filenames
            [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != */ ]] || compopt -o nospace
            ;;
        files) compopt -o default ;;
        folders) compopt -o dirnames ;;
    esac
}
complete -F _sharelock sharelock
