#!/bin/sh
# Makes the files of a StaticSite as they are served, in the build of its image: sh THIS PREFIX [FOLDER...]
#
# /srv/site has them. What never changes goes to /srv/immutable: files whose names have a hash of what is in them, those in
# folders of which a framework says so, and those in each FOLDER.
set -euf
prefix=$1
shift
folders=$*
cd /srv/site

fail() {
  echo "the site: $1" >&2
  exit 1
}

[ -f ".$prefix/index.html" ] || fail "has no index.html: give the folder that has it"

# A link in the site becomes what it leads to. One that leads out of it would serve what is nobody's business.
find . -type l >/tmp/links
while IFS= read -r link; do
  [ -e "$link" ] || fail "$link is a link to nothing"
  to=$(readlink -f "$link")
  case $to in
  /srv/site/*) cp -RL "$link" /tmp/copy && rm "$link" && mv /tmp/copy "$link" ;;
  *) fail "$link is a link that leads out of the site: take it away" ;;
  esac
done </tmp/links

find . -name '.*' ! -name . ! -name .well-known -prune -exec rm -rf {} +
chmod -R a=rX,u+w .

# Whether $1 is one of the names that tools give to a file by a hash of its content: in hexadecimal, with a digit and a letter;
# or, of a program or a font, eight letters with a digit and a capital. What looks otherwise is asked for anew, and no harm done.
is_hashed() {
  name=${1##*/}
  rest=${name#*[.-]}
  [ "$rest" != "$name" ] || return 1
  IFS=.-
  for part in ${rest%.*}; do
    case $part in
    *[!0-9a-f]*) ;;
    ????????*) case $part in *[0-9]*) case $part in *[a-f]*) return 0 ;; esac ;; esac ;;
    esac
    case $name in *.js | *.mjs | *.css | *.map | *.wasm | *.woff | *.woff2) ;; *) continue ;; esac
    case $part in
    *[!0-9A-Za-z_]*) ;;
    ????????) case $part in *[0-9]*) case $part in *[A-Z]*) return 0 ;; esac ;; esac ;;
    esac
  done
  return 1
}

is_immutable() {
  case $1 in */_astro/* | */_next/static/* | */_app/immutable/*) return 0 ;; esac
  IFS=' '
  for folder in $folders; do
    case $1 in ".$prefix$folder"/*) return 0 ;; esac
  done
  is_hashed "$1"
}

mkdir -p /srv/immutable /srv/kept
find . -type f ! -name '*.html' >/tmp/files
while IFS= read -r file; do
  is_immutable "$file" || continue
  mkdir -p "/srv/immutable/${file%/*}"
  mv "$file" "/srv/immutable/$file"
done </tmp/files

# An ETag is made of the time and the size: of two releases the times must differ, and tools like to set them all to one.
find /srv -type f -exec touch {} +
find /srv -type f -size +1 >/tmp/files
while IFS= read -r file; do
  case $file in
  *.html | *.css | *.js | *.mjs | *.json | *.map | *.svg | *.txt | *.xml | *.wasm | *.webmanifest | *.ico | *.ttf | *.otf) ;;
  *) continue ;;
  esac
  [ -e "$file.gz" ] || gzip -9 -c "$file" >"$file.gz"
  touch -r "$file" "$file.gz"
done </tmp/files
