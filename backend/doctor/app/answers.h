// Asks workers that were forked from one loaded application the same, and compares.
//
// For the doctor's one thread; asks a server of its own.
#pragma once

#include <string>
#include <vector>

#include "doctor/app/server.h"
#include "doctor/report.h"
#include "doctor/twin.h"

namespace forktail::doctor {

// How many requests a worker is to be replaced after, so that the next one is a twin of it.
int requests_a_worker(const std::vector<std::string>& requests);

// What workers of one load have answered: [request][worker][round].
struct TwinAnswers {
  std::vector<std::vector<std::vector<Answer>>> answers;
  TwinFacts facts;
};

// `requests` are "METHOD PATH". The server has one worker, and replaces it after
// requests_a_worker(): each successor is forked from the same loaded state. So one worker has
// answered all before the next one is asked, and a clock can not look like duplicated state.
// Throws std::runtime_error when a worker does not answer.
TwinAnswers ask_twins(AppServer& server, const std::vector<std::string>& requests, int processes,
                      Patience& patience);

// One answer to each request. Throws as ask_twins() does.
std::vector<Answer> ask_once(AppServer& server, const std::vector<std::string>& requests,
                             Patience& patience);

std::vector<Finding> compare_workers(const TwinAnswers& twins,
                                     const std::vector<std::string>& requests);

// `others` are the answers of a worker of another load, to the same requests.
std::vector<Finding> compare_with_other_load(const TwinAnswers& twins,
                                             const std::vector<std::string>& requests,
                                             const std::vector<Answer>& others);

}  // namespace forktail::doctor
