# Where the official image has its programs; and its pip installs into the system, which Debian's is told not to.
for program in python3 pip pip3; do ln -s "/usr/bin/$program" "$1/usr/local/bin/$program"; done
ln -s python3 "$1/usr/local/bin/python"
rm -f "$1"/usr/lib/python3.*/EXTERNALLY-MANAGED
