# SPDX-License-Identifier: Apache-2.0
# Completion of mirrornic for bash.
_mirrornic() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W 'run serve check backup --help --version' -- "$word")
        return
    fi
    case $before in
        --pace) mapfile -t COMPREPLY < <(compgen -W 'lossless line capture' -- "$word"); return ;;
        --source-ports) mapfile -t COMPREPLY < <(compgen -W 'rfc7348 aws' -- "$word"); return ;;
        --log-format) mapfile -t COMPREPLY < <(compgen -W 'text json' -- "$word"); return ;;
        --device) mapfile -t COMPREPLY < <(compgen -W 'sim pci: file:' -- "$word"); return ;;
        --quota)
            mapfile -t COMPREPLY < <(compgen -S = -W 'sessions-per-interface sources-per-target rules-per-filter sessions targets filters' -- "$word")
            return
            ;;
        --config | --in | --out | --forward | --decisions | --stats | --state | --to | --requests | --replies | --wave | --credentials | \
            --tls-cert | --tls-key | --options)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
    esac
    case ${COMP_WORDS[1]} in
        run) options='--config --skip-unresolved --quota --in --out --forward --decisions --stats --wave --state --requests
            --replies --seed --default-tap --pace --clock-mhz --source-ports --shards --quiet --help' ;;
        serve) options='--config --skip-unresolved --quota --listen --admin --admin-host --state --credentials --tls-cert --tls-key --plain-http
            --region --account --import --delete-orphans --log-format --options --device --in --loop --out --forward --decisions --stats --help' ;;
        check) options='--config --skip-unresolved --json --help' ;;
        backup) options='--state --to --force --help' ;;
        *) return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}
complete -o filenames -F _mirrornic mirrornic
