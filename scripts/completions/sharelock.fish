# Completion of sharelock's command line in fish. The program itself says what may follow.
function __sharelock_complete
    set -l program sharelock
    command -q sharelock; or set program $HOME/.local/bin/sharelock
    set -l typed (commandline -ct)
    set -l answer (command $program --complete fish (commandline -opc) (string unescape -- $typed; or echo -- $typed) 2>/dev/null)
    switch "$answer[1]"
        case words paths
            set -e answer[1]
            string join \n -- $answer
        case files
            __fish_complete_path $typed
        case folders
            __fish_complete_directories $typed
    end
end
complete -c sharelock -f -a '(__sharelock_complete)'
