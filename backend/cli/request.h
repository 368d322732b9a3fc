// `forktail request`: one request to a uwsgi server by hand, as curl does it for HTTP.
//
// For the command line alone, from main(), before anything else runs.
#pragma once

namespace CLI {
class App;
}

namespace forktail::cli {

// Adds the subcommand `request` to `forktail`. When it is chosen, parsing runs it and sets
// `exit_code`: 0 for a complete response of any status (or an answered ping), 1 when none came, and
// with --fail 22 for a status of 400 or more. A wrong command line throws CLI::ParseError.
void add_request_command(CLI::App& forktail, int& exit_code);

}  // namespace forktail::cli
