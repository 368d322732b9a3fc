# Finds the nginx tree that the module is built against and gives its include directories.
#
#   NGINX_SOURCE_DIR  an nginx source tree (default: Debian's nginx-dev, /usr/share/nginx/src)
#   NGINX_BUILD_DIR   the directory that its ./configure wrote ngx_auto_config.h to. When not given,
#                     Debian's configure is run once into the build tree, with Debian's own flags, so
#                     that the module's signature equals that of the installed nginx.
#
# Sets NGINX_INCLUDE_DIRS.
set(NGINX_SOURCE_DIR /usr/share/nginx/src CACHE PATH "nginx source tree")
set(NGINX_BUILD_DIR "" CACHE PATH "nginx build directory (holds ngx_auto_config.h)")

if(NOT EXISTS ${NGINX_SOURCE_DIR}/src/core/nginx.h)
  message(FATAL_ERROR "no nginx source in ${NGINX_SOURCE_DIR}: install nginx-dev, "
                      "or set NGINX_SOURCE_DIR and NGINX_BUILD_DIR")
endif()

set(_nginx_build_dir ${NGINX_BUILD_DIR})
if(NOT _nginx_build_dir)
  set(_nginx_build_dir ${PROJECT_BINARY_DIR}/nginx)
  if(NOT EXISTS ${NGINX_SOURCE_DIR}/conf_flags)
    message(FATAL_ERROR "${NGINX_SOURCE_DIR} is not Debian's nginx-dev (it has no conf_flags): "
                        "run its ./configure --with-compat ... --builddir=DIR and set NGINX_BUILD_DIR=DIR")
  endif()
  file(READ ${NGINX_SOURCE_DIR}/src/core/nginx.h _nginx_h)
  string(REGEX MATCH "NGINX_VERSION +\"([^\"]+)\"" _ "${_nginx_h}")
  set(_stamp ${_nginx_build_dir}/configured-${CMAKE_MATCH_1})
  if(NOT EXISTS ${_stamp})
    message(STATUS "Configuring nginx ${CMAKE_MATCH_1} headers in ${_nginx_build_dir}")
    file(REMOVE_RECURSE ${_nginx_build_dir})
    file(MAKE_DIRECTORY ${_nginx_build_dir})
    # The flags are a bash array.
    execute_process(
      COMMAND bash -c ". ./conf_flags && ./configure \"\${NGX_CONF_FLAGS[@]}\" --builddir='${_nginx_build_dir}'"
      WORKING_DIRECTORY ${NGINX_SOURCE_DIR}
      OUTPUT_FILE ${_nginx_build_dir}.log
      ERROR_FILE ${_nginx_build_dir}.log
      RESULT_VARIABLE _failed)
    if(_failed)
      message(FATAL_ERROR "nginx's configure failed, see ${_nginx_build_dir}.log")
    endif()
    file(TOUCH ${_stamp})
  endif()
endif()
if(NOT EXISTS ${_nginx_build_dir}/ngx_auto_config.h)
  message(FATAL_ERROR "no ngx_auto_config.h in ${_nginx_build_dir}: NGINX_BUILD_DIR must be the "
                      "--builddir of a configured nginx")
endif()

set(NGINX_INCLUDE_DIRS ${_nginx_build_dir})
foreach(_dir core event event/modules event/quic os/unix http http/modules http/v2 http/v3)
  if(IS_DIRECTORY ${NGINX_SOURCE_DIR}/src/${_dir})
    list(APPEND NGINX_INCLUDE_DIRS ${NGINX_SOURCE_DIR}/src/${_dir})
  endif()
endforeach()
