#!/usr/bin/env bash
# Builds what a release is, from the last commit, into build/release. `make release` runs it.
#
#   deploy/release.sh check          refuses what cannot be released
#   deploy/release.sh build [IMAGES] writes the files; IMAGES, one of docker, podman and buildah, has built the images
#
# Two builds of one commit are the same, to the last byte: https://reproducible-builds.org/docs/source-date-epoch/
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
python=${PYTHON:-.venv/bin/python}
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' rainbow/__init__.py)
release=build/release

refuse() {
    echo "not released: $*" >&2
    exit 1
}

# The lines of a section of the changelog, without its heading.
section() {
    sed -n "/^## \[$1\]/,/^## \[/p" CHANGELOG.md | sed '/^## \[/d'
}

check() {
    local changed tagged
    changed=$(git status --porcelain)
    [[ -z $changed ]] || refuse $'there are changes that are not committed:\n'"$changed"
    [[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || refuse "rainbow/__init__.py says $version; a release is MAJOR.MINOR.PATCH"
    grep -Eq "^## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
        refuse "CHANGELOG.md has no line '## [$version] - YEAR-MONTH-DAY'"
    ! section Unreleased | grep -q '^- ' || refuse "CHANGELOG.md has entries under [Unreleased]; they belong under [$version]"
    if tagged=$(git rev-parse --quiet --verify "v$version^{commit}"); then
        [[ $tagged == $(git rev-parse HEAD) ]] || refuse "the tag v$version names another commit, $tagged"
    fi
}

# As written, a source distribution has the time of the build.
pack_again() {
    local folder=$1 archive=$2 name
    name=$(basename "$archive" .tar.gz)
    tar --extract --gzip --file "$archive" --directory "$folder"
    tar --create --directory "$folder" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
        --mode='u=rwX,go=rX' "$name" | gzip --no-name --best >"$archive"
}

save_images() {
    local image
    for image in server agent; do
        case $1 in
        buildah) buildah push "localhost/rainbow-$image:$version" "docker-archive:$release/rainbow-$image-$version.tar" ;;
        *) "$1" save --output "$release/rainbow-$image-$version.tar" "localhost/rainbow-$image:$version" ;;
        esac
    done
}

build() {
    local folder
    folder=$(mktemp -d)
    # shellcheck disable=SC2064
    trap "rm -rf '$folder'" EXIT
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
    export SOURCE_DATE_EPOCH
    rm -rf "$release"
    mkdir -p "$release" "$folder/source"
    git archive HEAD | tar --extract --directory "$folder/source"
    "$python" -m build --no-isolation --outdir "$release" "$folder/source" >"$folder/log" 2>&1 || refuse "$(<"$folder/log")"
    pack_again "$folder" "$release/rainbow-$version.tar.gz"
    # The server runs from this; the package above is the client.
    git archive --prefix="rainbow-server-$version/" HEAD | gzip --no-name --best >"$release/rainbow-server-$version.tar.gz"
    cp build/sbom.json "$release/rainbow-$version.cdx.json"
    section "$version" >"$release/CHANGES-$version.md"
    [[ -z ${1:-} ]] || save_images "$1"
    (cd "$release" && sha256sum -- * >SHA256SUMS)
    ls -l "$release"
}

case ${1:-} in
check) check ;;
build) check && build "${2:-}" ;;
*) refuse "say check or build" ;;
esac
