# Healthy when it has loaded its data, answers, and can write what it is told.
client=$(command -v valkey-cli || command -v redis-cli) || exit
REDISCLI_AUTH=$(cat /run/secrets/health) || exit
export REDISCLI_AUTH
said=$("$client" --no-auth-warning --user health info persistence) || exit
case $said in *loading:0*) ;; *) echo "$said" | head -c 200; exit 1 ;; esac
case $said in *aof_last_write_status:ok*) ;; *) echo 'it cannot write: is the disk full?'; exit 1 ;; esac
