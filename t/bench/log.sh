#!/usr/bin/env bash
# Lines per second of the log's sink against spdlog's own file sink.
#
#   script/bench log [DIRECTORY]     the file system of DIRECTORY (default: the temporary one) is measured
set -euo pipefail
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/forktail-bench-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
# shellcheck disable=SC2046  # pkg-config prints a list of options
"${CXX:-g++}" -std=c++20 -O2 -I backend -I backend/include t/bench/log_sink.cc backend/log/*.cc \
    backend/app/{context,current}.cc \
    $(pkg-config --cflags --libs spdlog) -o "$scratch/log_sink"
"$scratch/log_sink" "$scratch"
