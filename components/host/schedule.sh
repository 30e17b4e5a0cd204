#!/bin/sh
# Runs a command by a schedule, in the container of its own release: /bin/sh -c THIS schedule MODE … COMMAND...
#
# serve   waits for its times, and runs the command at each
# now     runs it once, and ends with its exit code
# health  says how the last run ended
#
# It needs a POSIX shell, `date`, `sleep`, `mkdir`, `mv` and `rm`, and no time zones: the offsets from UTC come with it.
#
# All releases share a folder, in which the newest that lives is in charge: what it wrote last is no older than 90 s. An
# older one begins nothing while that is so, and ends when its run has ended. A time that was begun is noted there first,
# so nothing begins twice.

folder=/run/schedule
mode=$1 minutes=$2 hours=$3 days=$4 months=$5 weekdays=$6 flags=$7 offsets=$8 timeout=$9
shift 9
read -r me </proc/sys/kernel/hostname
ending='' newest='' beat=0

say() { echo "schedule: $1"; }
has() { case $1 in *",$2,"*) ;; *) return 1 ;; esac; }
flag() { case $flags in *"$1"*) ;; *) return 1 ;; esac; }

# Replaces the file $2 by the text $1 in one step.
put() { echo "$1" >"$folder/$2.$$" && mv "$folder/$2.$$" "$folder/$2"; }

# Sets $offset to the seconds that local time is ahead of UTC at $1.
offset_at() {
  for pair in $offsets; do
    [ "${pair%%:*}" -le "$1" ] || break
    offset=${pair#*:}
  done
}

# Sets year, month and day to those of the local minute $1, counted from 1970.
date_of() {
  at=$(($1 / 1440 + 719468))
  of_era=$((at % 146097))
  of_years=$(((of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365))
  of_year=$((of_era - (365 * of_years + of_years / 4 - of_years / 100)))
  from_march=$(((5 * of_year + 2) / 153))
  day=$((of_year - (153 * from_march + 2) / 5 + 1))
  month=$((from_march < 10 ? from_march + 3 : from_march - 9))
  year=$((of_years + at / 146097 * 400 + (month <= 2)))
}

# Whether the local minute $1 is one of the schedule's.
is_due() {
  has "$minutes" $(($1 % 60)) && has "$hours" $(($1 / 60 % 24)) || return 1
  date_of "$1"
  has "$months" "$month" || return 1
  weekday=$((($1 / 1440 + 4) % 7))
  # As in every cron: where both are given, either will do.
  if flag either; then has "$days" "$day" || has "$weekdays" "$weekday"; else
    has "$days" "$day" && has "$weekdays" "$weekday"
  fi
}

name_of() {
  date_of "$1"
  printf '%04d-%02d-%02dT%02d:%02d' "$year" "$month" "$day" $(($1 / 60 % 24)) $(($1 % 60))
}

# Sets $all to the process $1 and those below it.
below() {
  all=$1 more=yes
  while [ -n "$more" ]; do
    more=
    for process in /proc/[0-9]*; do
      pid=${process#/proc/}
      case " $all " in *" $pid "*) continue ;; esac
      { read -r stat <"$process/stat"; } 2>/dev/null || continue
      stat=${stat##*) } stat=${stat#* }
      case " $all " in *" ${stat%% *} "*) all="$all $pid" more=yes ;; esac
    done
  done
}

# Ends the process $1 and those below it after the time-out: with SIGTERM, and ten seconds later with SIGKILL. It looks each
# second whether the run is over: a signal that says so could come before it is heard.
watch() {
  seconds=0
  while [ "$seconds" -lt "$timeout" ]; do
    sleep 1
    [ -d "$claim" ] || return
    seconds=$((seconds + 1))
  done
  below "$1"
  : >"$claim/late"
  # shellcheck disable=SC2086 # One by one.
  kill -TERM $all
  sleep 10
  # shellcheck disable=SC2086
  kill -KILL $all
  # What came meanwhile.
  below "$1"
  # shellcheck disable=SC2086
  kill -KILL $all
}

# What the power went from may be empty. Gives whether $1 is a number.
is_number() { case $1 in '' | *[!0-9]*) return 1 ;; esac; }

# Sets $by and $until to who has the claim, and how long it may.
holder() {
  by='' until=''
  [ ! -r "$claim/by" ] || read -r by until <"$claim/by"
  is_number "$until"
}

# Takes the right to run. Of a container that is gone it lapses with the time-out.
take_turn() {
  claim=$folder/running
  # Runs that may overlap have each its own.
  ! flag overlap || claim=$folder/running.$$.$(date +%s)
  until mkdir "$claim" 2>/dev/null; do
    if ! holder; then
      # Whoever took it writes it now, or the power went in that moment.
      sleep 1
      if ! holder; then
        rm -rf "$claim"
        continue
      fi
    fi
    [ "$(date +%s)" -gt "$until" ] || return 1
    rm -rf "$claim"
  done
  echo "$me $(($(date +%s) + timeout + 15))" >"$claim/by"
}

# Counts one more of $1, and writes what a collector of metrics reads.
count() {
  runs=0 failed=0 missed=0 skipped=0 success=0
  [ ! -s "$folder/counts" ] || read -r runs failed missed skipped success <"$folder/counts"
  case $1 in
  success) runs=$((runs + 1)) success=$(date +%s) ;;
  failed) runs=$((runs + 1)) failed=$((failed + 1)) ;;
  missed) missed=$((missed + $2)) ;;
  skipped) skipped=$((skipped + 1)) ;;
  esac
  put "$runs $failed $missed $skipped $success" counts
  put "bulkhead_job_runs_total $runs
bulkhead_job_failed_runs_total $failed
bulkhead_job_missed_runs_total $missed
bulkhead_job_skipped_runs_total $skipped
bulkhead_job_last_success_timestamp_seconds $success" metrics.prom
}

# Says that something went wrong, $1: until the next run ends well that is how the last one ended, and for a week it is told
# beside what came after it.
failed() {
  put "$me ${2:-1} $1" result
  put "$(date +%s) $1" failure
}

# Runs "$@" as the run of $run; gives its exit code, or 75 if another still runs.
run_it() {
  if ! take_turn; then
    count skipped
    say "the run of $run is skipped: the one before it still runs"
    return 75
  fi
  began=$(date +%s)
  say "the run of $run begins"
  "$@" &
  child=$!
  watch "$child" >/dev/null 2>&1 &
  watcher=$!
  wait "$child"
  status=$?
  how="ended with exit code $status after"
  if [ -e "$claim/late" ]; then
    how="was ended by its time-out after"
    [ "$status" -ne 0 ] || status=124
    # It may have left processes that do not listen.
    wait "$watcher"
  fi
  took=$(($(date +%s) - began))
  rm -rf "$claim"
  if [ "$status" -eq 0 ]; then
    count success
    put "$me 0 the run of $run $how $took s" result
  else
    count failed
    failed "the run of $run $how $took s" "$status"
  fi
  say "the run of $run $how $took s"
  return "$status"
}

# Looks at every minute since the last look, of the newest in charge.
tick() {
  now=$(date +%s)
  echo "$now" >/dev/shm/bulkhead-schedule
  [ ! -r "$folder/newest" ] || read -r newest beat <"$folder/newest"
  is_number "$beat" || beat=0
  if [ "$newest" != "$me" ] && [ $((now - beat)) -le 90 ] && [ $((beat - now)) -le 90 ]; then return; fi
  put "$me $now" newest
  offset_at "$now"
  wall=$(((now + offset) / 60))
  last=$((wall - 1)) looked=$now
  [ ! -r "$folder/last" ] || read -r last looked <"$folder/last"
  is_number "$last" && is_number "$looked" || last=$((wall - 1)) looked=$now
  if [ "$last" -gt "$wall" ]; then
    # The clock went back. An hour that comes twice runs what has a fixed hour once.
    if flag fixed && [ $((last - wall)) -le 180 ]; then
      put "$last $now" last
      return
    fi
    last=$((wall - 1))
  fi
  away=
  [ $((now - looked)) -le 150 ] || away=yes
  # Of more than two days nobody wants to know each minute.
  [ $((wall - last)) -le 2880 ] || last=$((wall - 2880))
  due='' number=0
  while [ "$last" -lt "$wall" ]; do
    last=$((last + 1))
    if is_due "$last"; then due=$last number=$((number + 1)); fi
  done
  put "$wall $now" last
  [ -n "$due" ] || return
  run=$(name_of "$due")
  if [ -n "$away" ]; then
    # What is a little late runs now. What is later might do harm at this hour.
    late=yes
    [ $((wall - due)) -gt 15 ] || late='' number=$((number - 1))
    if [ "$number" -gt 0 ]; then
      count missed "$number"
      say "missed: $number, the last of them at $run: this container did not run then"
      failed "missed $number, the last of them at $run: this container did not run then"
    fi
    [ -z "$late" ] || return
  fi
  # A time that was begun by another release has its folder.
  begun=$folder/due.$due.$offset
  mkdir "$begun" 2>/dev/null || return
  for other in "$folder"/due.*; do [ "$other" = "$begun" ] || rmdir "$other"; done
  run_it "$@" &
}

is_mine() { [ -r "$1/by" ] && read -r by _ <"$1/by" && [ "$by" = "$me" ]; }

serve() {
  sleeping=
  trap 'ending=yes; kill "$sleeping" 2>/dev/null' TERM
  for claim in "$folder"/running*; do
    is_mine "$claim" || continue
    # This container ran before, and was cut off with its run: it was killed, or its host went down.
    run='a run'
    if holder; then
      began=$((until - timeout - 15))
      offset_at "$began"
      run="the run that began at $(name_of $(((began + offset) / 60)))"
    fi
    rm -rf "$claim"
    count failed
    failed "$run was cut off when this container ended"
    say "$run was cut off when this container ended"
  done
  put "$me $(date +%s)" newest
  say "waits for its times"
  while [ -z "$ending" ]; do
    tick "$@"
    # In the background, so that a signal is seen.
    sleep $((60 - $(date +%s) % 60)) &
    sleeping=$!
    [ -n "$ending" ] || wait "$sleeping"
  done
  for claim in "$folder"/running*; do
    if is_mine "$claim"; then say "ends when its run has ended"; fi
    while is_mine "$claim"; do sleep 1; done
  done
}

health() {
  ticked=0
  [ ! -r /dev/shm/bulkhead-schedule ] || read -r ticked </dev/shm/bulkhead-schedule
  if [ $(($(date +%s) - ticked)) -gt 150 ]; then
    echo "it has not looked at the clock for more than 150 s"
    exit 1
  fi
  by='' status=0 text="no run yet"
  [ ! -s "$folder/result" ] || read -r by status text <"$folder/result"
  echo "$text"
  # Another release's failure is no reason to refuse this one.
  if [ "$by" = "$me" ] && [ "$status" -ne 0 ]; then exit 1; fi
  # Where runs come often, nobody has seen it before the next one ended well.
  at='' failure=''
  [ ! -s "$folder/failure" ] || read -r at failure <"$folder/failure"
  if is_number "$at" && [ $(($(date +%s) - at)) -lt 604800 ] && [ "$failure" != "$text" ]; then echo "before: $failure"; fi
}

case $mode in
serve) serve "$@" ;;
now)
  run="now, $(date -u +%Y-%m-%dT%H:%M:%SZ)"
  run_it "$@"
  ;;
health) health ;;
esac
