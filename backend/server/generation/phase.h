// What the master sees of a generation.
#pragma once

namespace forktail::server {

enum class GenerationPhase {
  starting,  // the template loads, or not all workers are ready yet
  serving,   // every worker has been ready once
  leaving,   // the workers finish what they have and end
  failed,    // it could not start; failure() says why, and its processes are being ended
};

}  // namespace forktail::server
