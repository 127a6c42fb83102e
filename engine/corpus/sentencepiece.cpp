// The one place that knows SentencePiece. No exception leaves it: the house is C.
#include "engine/corpus/sentencepiece.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>
#include <string>
#include <unordered_map>
#include <vector>

struct bn_pieces {
    sentencepiece::SentencePieceProcessor processor;
};

namespace
{

// One line of at most `size` bytes, without the source file and the condition that the library puts
// in front: "Internal: src/x.cc(660) [(a) == (b)] Vocabulary size too high".
void explain(char *why, size_t size, const std::string &text)
{
    const size_t end = text.rfind("] ");
    std::string line = end == std::string::npos ? text : text.substr(end + 2);
    for (char &c : line) {
        if (c == '\n' || c == '\r') c = ' ';
    }
    (void)std::snprintf(why, size, "%s", line.c_str());
}

class line_source : public sentencepiece::SentenceIterator
{
  public:
    line_source(bn_pieces_source *next, void *self) : next_(next), self_(self)
    {
        take();
    }
    bool done() const override
    {
        return done_;
    }
    void Next() override
    {
        take();
    }
    void take()
    {
        const char *line = nullptr;
        size_t bytes = 0;
        done_ = !next_(self_, &line, &bytes);
        if (!done_) value_.assign(line, bytes);
    }
    const std::string &value() const override
    {
        return value_;
    }
    sentencepiece::util::Status status() const override
    {
        return {};
    }

  private:
    bn_pieces_source *next_;
    void *self_;
    std::string value_;
    bool done_ = false;
};

} // namespace

bn_pieces *bn_pieces_open(const char *model, size_t bytes, bool dummy_prefix, char *why,
                          size_t why_bytes)
{
    bn_pieces *pieces = nullptr;
    try {
        std::string proto(model, bytes);
        // Protocol buffers merge what is concatenated: ModelProto.normalizer_spec (field 3) gets
        // add_dummy_prefix (field 3) = false, and nothing else of the model changes.
        if (!dummy_prefix) proto.append("\x1a\x02\x18\x00", 4);
        pieces = new bn_pieces();
        const auto status = pieces->processor.LoadFromSerializedProto(proto);
        if (status.ok()) return pieces;
        explain(why, why_bytes, status.ToString());
    } catch (const std::exception &failure) {
        explain(why, why_bytes, failure.what());
    }
    delete pieces;
    return nullptr;
}

void bn_pieces_close(bn_pieces *pieces)
{
    delete pieces;
}

int bn_pieces_count(const bn_pieces *pieces)
{
    return pieces->processor.GetPieceSize();
}

int bn_pieces_end_id(const bn_pieces *pieces)
{
    return pieces->processor.eos_id();
}

int bn_pieces_start_id(const bn_pieces *pieces)
{
    return pieces->processor.bos_id();
}

const char *bn_pieces_text(const bn_pieces *pieces, int id, bn_piece_kind *kind)
{
    const auto &processor = pieces->processor;
    *kind = BN_PIECE_NORMAL;
    if (processor.IsControl(id) || processor.IsUnused(id)) *kind = BN_PIECE_CONTROL;
    if (processor.IsByte(id)) *kind = BN_PIECE_BYTE;
    if (processor.IsUnknown(id)) *kind = BN_PIECE_UNKNOWN;
    return processor.IdToPiece(id).c_str();
}

size_t bn_pieces_encode(const bn_pieces *pieces, const char *text, size_t bytes, int32_t *ids,
                        size_t room)
{
    try {
        std::vector<int> found;
        const auto status = pieces->processor.Encode(absl::string_view(text, bytes), &found);
        if (!status.ok()) return SIZE_MAX;
        for (size_t i = 0; i < found.size() && i < room; i++) ids[i] = found[i];
        return found.size();
    } catch (const std::exception &) {
        return SIZE_MAX;
    }
}

bool bn_pieces_train(int vocab, bn_pieces_source *next, void *self, char **model, size_t *bytes,
                     char why[160])
{
    const std::unordered_map<std::string, std::string> options = {
        {"model_type", "bpe"},
        {"vocab_size", std::to_string(vocab)},
        {"byte_fallback", "true"},
        {"split_digits", "true"},
        {"character_coverage", "0.99995"},
        {"normalization_rule_name", "identity"},
        {"remove_extra_whitespaces", "false"},
        {"allow_whitespace_only_pieces", "true"},
        {"unk_id", "0"},
        {"bos_id", "1"},
        {"eos_id", "2"},
        {"pad_id", "-1"},
        {"max_sentence_length", "65536"},
        {"num_threads", "4"},
        {"minloglevel", "3"},
    };
    try {
        line_source lines(next, self);
        std::string proto;
        const auto status = sentencepiece::SentencePieceTrainer::Train(options, &lines, &proto);
        if (!status.ok()) {
            explain(why, 160, status.ToString());
            return false;
        }
        *model = static_cast<char *>(std::malloc(proto.size()));
        if (*model == nullptr) {
            explain(why, 160, "no memory");
            return false;
        }
        std::memcpy(*model, proto.data(), proto.size());
        *bytes = proto.size();
        return true;
    } catch (const std::exception &failure) {
        explain(why, 160, failure.what());
        return false;
    }
}
