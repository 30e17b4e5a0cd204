# Leaves out what no container reads: documentation, translations and the files of package maintainers.
rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/* "$1"/usr/share/info/* "$1"/usr/share/lintian/*
