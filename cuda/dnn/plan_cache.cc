#include "cuda/dnn/plan_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

namespace dpm::cuda {
namespace {

constexpr const char* kFile = "cudnn-plans.txt";
constexpr std::size_t kMostBytes = std::size_t{8} << 20;
constexpr std::size_t kLongestField = 512;

/// A file that is closed at the end of the scope.
struct File {
  int descriptor;
  ~File() {
    if (descriptor >= 0) close(descriptor);
  }
};

/// Reads the file's text; empty unless it is a regular file within the size limit.
std::string read_file(const std::string& path) {
  // O_NONBLOCK keeps a named pipe in the file's place from waiting for a writer.
  const File file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status{};
  if (file.descriptor < 0 || fstat(file.descriptor, &status) != 0) return {};
  if (!S_ISREG(status.st_mode) || status.st_size > static_cast<off_t>(kMostBytes)) return {};
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = read(file.descriptor, text.data() + done, text.size() - done);
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  text.resize(done);
  return text;
}

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(descriptor, text.data(), text.size());
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

bool replace_file(const std::string& path, const std::string& text) {
  std::string temporary = path + ".XXXXXX";
  const int descriptor = mkstemp(temporary.data());
  if (descriptor < 0) return false;
  const bool written = write_all(descriptor, text);
  const bool closed = close(descriptor) == 0;
  if (written && closed && std::rename(temporary.c_str(), path.c_str()) == 0) return true;
  unlink(temporary.c_str());
  return false;
}

bool is_field(std::string_view text) {
  return !text.empty() && text.size() <= kLongestField &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

/// Calls `use(line)` for every line of `text` that ends in a newline.
template <typename Use>
void for_each_line(std::string_view text, const Use& use) {
  for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    use(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
}

/// Returns every well-formed line that begins with `prefix`, as key and choice.
std::map<std::string, std::string> parse(std::string_view text, std::string_view prefix) {
  std::map<std::string, std::string> found;
  for_each_line(text, [&](std::string_view line) {
    if (!line.starts_with(prefix)) return;
    line.remove_prefix(prefix.size());
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos) return;
    const std::string_view key = line.substr(0, tab);
    const std::string_view choice = line.substr(tab + 1);
    if (is_field(key) && is_field(choice)) found.insert_or_assign(std::string(key), std::string(choice));
  });
  return found;
}

/// Returns whether a line is well-formed, for any GPU and version.
bool is_line(std::string_view line) {
  std::size_t fields = 1;
  while (line.find('\t') != std::string_view::npos) {
    if (!is_field(line.substr(0, line.find('\t')))) return false;
    line.remove_prefix(line.find('\t') + 1);
    ++fields;
  }
  return fields == 4 && is_field(line);
}

void append_line(std::string* text, std::string_view prefix, std::string_view rest) {
  // A file larger than the limit would not be read again.
  if (text->size() + prefix.size() + rest.size() + 1 > kMostBytes) return;
  text->append(prefix).append(rest).append("\n");
}

/// Replaces spaces, which names of GPUs have.
std::string as_field(std::string text) {
  std::replace_if(text.begin(), text.end(), [](char c) { return c <= ' ' || c > '~'; }, '_');
  text.resize(std::min(text.size(), kLongestField));
  return text.empty() ? "unknown" : text;
}

}  // namespace

PlanCache::PlanCache(std::string folder, std::string card, std::size_t cudnn_version)
    : folder_(std::move(folder)), prefix_(std::to_string(cudnn_version) + "\t" + as_field(std::move(card)) + "\t") {
  if (!folder_.empty()) choices_ = parse(read_file(folder_ + "/" + kFile), prefix_);
}

std::string PlanCache::find(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = choices_.find(key);
  return found == choices_.end() ? "" : found->second;
}

void PlanCache::store(const std::string& key, const std::string& choice) {
  if (!is_field(key) || !is_field(choice)) return;
  const std::lock_guard lock(mutex_);
  changed_ = true;
  choices_.insert_or_assign(key, choice);
}

bool PlanCache::save() {
  const std::lock_guard lock(mutex_);
  if (!changed_ || folder_.empty()) return true;
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) return false;
  const std::string path = folder_ + "/" + kFile;
  const std::string old = read_file(path);
  for (auto& [key, choice] : parse(old, prefix_)) choices_.try_emplace(key, choice);
  std::string text;
  for (const auto& [key, choice] : choices_) append_line(&text, prefix_, std::string(key).append("\t").append(choice));
  for_each_line(old, [&](std::string_view line) {
    if (!line.starts_with(prefix_) && is_line(line)) append_line(&text, line, "");
  });
  if (!replace_file(path, text)) return false;
  changed_ = false;
  return true;
}

std::string plan_cache_folder(const Environment& environment) {
  // Relative values are ignored, as the specification requires.
  const std::string cache = environment("XDG_CACHE_HOME");
  if (cache.starts_with("/")) return cache + "/dpm-native";
  const std::string home = environment("HOME");
  return home.empty() ? "" : home + "/.cache/dpm-native";
}

}  // namespace dpm::cuda
