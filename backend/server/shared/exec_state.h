// What a process hands over to the program that it executes: a value in an unnamed file, whose
// number the program is told. Written as CBOR (RFC 8949), since paths need not be UTF-8.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "server/os/descriptor.h"

namespace forktail::server {

// Throws std::system_error, naming `what`.
Descriptor write_exec_state(const char* what, const nlohmann::json& value);

// Throws nlohmann::json::exception when it is something else.
nlohmann::json read_exec_state(int descriptor);

}  // namespace forktail::server
