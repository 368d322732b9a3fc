#include <gtest/gtest.h>

#include <string>

#include "id/trace_context.h"

namespace forktail::id {
namespace {

const std::string kTraceId = "0af7651916cd43dd8448eb211c80319c";
const std::string kSpanId = "b7ad6b7169203331";

std::string traceparent(const std::string& version, const std::string& flags) {
  return version + "-" + kTraceId + "-" + kSpanId + "-" + flags;
}

std::string joined(std::initializer_list<std::string> headers) {
  std::size_t size = 0;
  for (const std::string& header : headers) {
    size += header.size() + 1;
  }
  std::string out(size, '\0');
  TraceState state(out.data());
  for (const std::string& header : headers) {
    state.add(header);
  }
  return std::string(state.list());
}

TEST(Traceparent, GivesTheFieldsOfVersion00) {
  const std::string text = traceparent("00", "01");
  const auto parsed = parse_traceparent(text);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->trace_id, kTraceId);
  EXPECT_EQ(parsed->span_id, kSpanId);
  EXPECT_EQ(parsed->flags, kSampled);
}

TEST(Traceparent, IgnoresWhiteSpaceAroundTheValue) {
  EXPECT_TRUE(parse_traceparent("\t " + traceparent("00", "01") + " \t"));
  EXPECT_FALSE(parse_traceparent(" \t "));
}

TEST(Traceparent, KeepsOnlyTheFlagsThatAreDefined) {
  EXPECT_EQ(parse_traceparent(traceparent("00", "ff"))->flags, kSampled | kRandomTraceId);
  EXPECT_EQ(parse_traceparent(traceparent("00", "fc"))->flags, 0);
  EXPECT_EQ(parse_traceparent(traceparent("00", "0a"))->flags, kRandomTraceId);
}

TEST(Traceparent, RefusesEachWrongCharacter) {
  const std::string good = traceparent("00", "01");
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = 'g';
    EXPECT_FALSE(parse_traceparent(bad)) << bad;
    bad[i] = 'A';
    EXPECT_FALSE(parse_traceparent(bad)) << bad;
  }
}

TEST(Traceparent, RefusesEveryShorterValue) {
  const std::string good = traceparent("00", "01");
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(parse_traceparent(good.substr(0, size)));
  }
}

TEST(Traceparent, RefusesIdsOfZerosAndTheVersionFf) {
  EXPECT_FALSE(parse_traceparent("00-" + std::string(32, '0') + "-" + kSpanId + "-01"));
  EXPECT_FALSE(parse_traceparent("00-" + kTraceId + "-" + std::string(16, '0') + "-01"));
  EXPECT_FALSE(parse_traceparent(traceparent("ff", "01")));
}

TEST(Traceparent, ReadsHigherVersionsByTheShapeOf00) {
  EXPECT_TRUE(parse_traceparent(traceparent("01", "01")));
  EXPECT_TRUE(parse_traceparent(traceparent("fe", "01-more")));
  EXPECT_FALSE(parse_traceparent(traceparent("fe", "01more")));
  EXPECT_FALSE(parse_traceparent(traceparent("00", "01-more")));
}

TEST(Traceparent, IsWrittenAsItIsRead) {
  char out[kTraceparentLength];
  write_traceparent(out, kTraceId, kSpanId, kSampled | kRandomTraceId);
  EXPECT_EQ(std::string_view(out, sizeof(out)), traceparent("00", "03"));
}

TEST(TraceId, ComesFromHexDigitsAndFromUuids) {
  char out[kTraceIdLength];
  EXPECT_TRUE(write_trace_id(out, kTraceId));
  EXPECT_EQ(std::string_view(out, sizeof(out)), kTraceId);
  EXPECT_TRUE(write_trace_id(out, "0AF76519-16CD-43DD-8448-EB211C80319C"));
  EXPECT_EQ(std::string_view(out, sizeof(out)), kTraceId);
}

TEST(TraceId, DoesNotComeFromAnythingElse) {
  char out[kTraceIdLength];
  EXPECT_FALSE(write_trace_id(out, ""));
  EXPECT_FALSE(write_trace_id(out, "client-1234"));
  EXPECT_FALSE(write_trace_id(out, std::string(32, 'g')));
  EXPECT_FALSE(write_trace_id(out, std::string(32, '0')));
  EXPECT_FALSE(write_trace_id(out, "0af7651916cd-43dd-8448-eb211c80319c-"));
}

TEST(Tracestate, JoinsHeadersWithoutBlanksAndEmptyMembers) {
  EXPECT_EQ(joined({"a=1"}), "a=1");
  EXPECT_EQ(joined({" a=1 ,\tb=2", "", ",,", "c= x y"}), "a=1,b=2,c= x y");
  EXPECT_EQ(joined({""}), "");
}

TEST(Tracestate, TakesTheKeysOfTheGrammar) {
  EXPECT_EQ(joined({"a_-*/0=1"}), "a_-*/0=1");
  EXPECT_EQ(joined({"0tenant@s-1=1"}), "0tenant@s-1=1");
  for (const char* key : {"", "A", "0a", "_a", "a.b", "@s", "t@", "t@1", "t@s@u", "T@s"}) {
    EXPECT_EQ(joined({std::string(key) + "=1"}), "") << key;
  }
}

TEST(Tracestate, TakesKeysAndValuesUpToTheirLengths) {
  const auto member = [](std::size_t key, std::size_t value) {
    return std::string(key, 'k') + "=" + std::string(value, 'v');
  };
  EXPECT_EQ(joined({member(256, 256)}), member(256, 256));
  EXPECT_EQ(joined({member(257, 1)}), "");
  EXPECT_EQ(joined({member(1, 257)}), "");
  EXPECT_EQ(joined({member(1, 0)}), "");
  const std::string tenant(241, 't');
  const std::string system(14, 's');
  EXPECT_NE(joined({tenant + "@" + system + "=1"}), "");
  EXPECT_EQ(joined({tenant + "t@" + system + "=1"}), "");
  EXPECT_EQ(joined({tenant + "@" + system + "s=1"}), "");
}

TEST(Tracestate, DropsTheWholeListForOneBadMember) {
  EXPECT_EQ(joined({"a=1", "b", "c=3"}), "");
  EXPECT_EQ(joined({"a=1,b=2=3"}), "");
  EXPECT_EQ(joined({"a=1,b=\x7f"}), "");
}

TEST(Tracestate, Takes32MembersAndNot33) {
  std::string list;
  for (int i = 0; i < 32; ++i) {
    list += "k" + std::to_string(i) + "=v,";
  }
  EXPECT_EQ(joined({list}).size() + 1, list.size());
  EXPECT_EQ(joined({list, "z=1"}), "");
}

}  // namespace
}  // namespace forktail::id
