#include "id_generator.h"

#include <new>

namespace forktail {

id::Generator& generator() {
  alignas(id::Generator) static unsigned char storage[sizeof(id::Generator)];
  static id::Generator* made = nullptr;
  if (made == nullptr) {
    made = new (storage) id::Generator;
  }
  return *made;
}

}  // namespace forktail
