// Asks two and more workers that were forked from one loaded application the same, and compares.
//
// For the doctor's one thread; asks a server of its own.
#pragma once

#include <string>
#include <vector>

#include "doctor/app/server.h"
#include "doctor/report.h"

namespace forktail::doctor {

// How many requests a worker is to be replaced after, so that the next one is a twin of it.
int requests_a_worker(const std::vector<std::string>& requests);

// `requests` are "METHOD PATH". The server has one worker, and replaces it after
// requests_a_worker(): each successor is forked from the same loaded state. So one worker has
// answered all before the next one is asked, and a clock can not look like duplicated state.
// Throws std::runtime_error when a worker does not answer.
std::vector<Finding> compare_workers(AppServer& server, const std::vector<std::string>& requests,
                                     int processes, Patience& patience);

}  // namespace forktail::doctor
