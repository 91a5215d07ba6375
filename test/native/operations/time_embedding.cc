// Cases of sinusoids of the time.
#include "operations/operations.h"

namespace dpm::test {
namespace {

Case time_embedding(RandomValues& random, graph::TimeEmbedding how, bool has_frequencies, int batch) {
  GraphMaker maker(random);
  graph::Node sinusoid = graph::make_node(DPM_OP_TIME_EMBEDDING, "time", {maker.time()}, how);
  if (has_frequencies) sinusoid.weights = {maker.constant({how.length / 2})};
  const int time = maker.add(sinusoid);
  maker.leave(maker.sum(time, maker.row(maker.label(), 7, how.length)));
  return image_case(maker, random, batch);
}

Case random_time(RandomValues& random, int index) {
  const int batch = random.between(1, 5);
  graph::TimeEmbedding how{random.between(4, 40), index % 3 == 0 ? 1.0F : 0.0F, index % 2 == 0, index % 4 == 3};
  const bool has_frequencies = index % 4 >= 2;
  if (has_frequencies) how.length += how.length % 2;
  return time_embedding(random, how, has_frequencies, batch);
}

Case large_time(RandomValues& random, int /*index*/) { return time_embedding(random, {512}, false, 16); }

}  // namespace

std::vector<CaseFamily> time_embedding_cases() { return {{"Random", random_time, 12}, {"512", large_time, 1, true}}; }

}  // namespace dpm::test
