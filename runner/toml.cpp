#include "runner/toml.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace
{
[[noreturn]] void trip(const char *condition)
{
    throw std::logic_error(condition);
}
} // namespace

/* toml++ 3.3 asserts where a file can be wrong: "[`a]" ends a debug build and is undefined in a
 * release one. Compiled into this file its assertions are exceptions, which become messages. */
#undef NDEBUG
#define TOML_HEADER_ONLY       1
#define TOML_ASSERT(condition) (static_cast<bool>(condition) ? void() : trip(#condition))
#include <toml++/toml.h>

/* Our own tree rather than toml++'s: its tables are sorted by name, ours keep the file's order,
 * and no C++ type crosses the header. */
struct bn_toml_node {
    bn_toml_kind kind = BN_TOML_TABLE;
    int line = 0;
    std::string text;
    int64_t whole = 0;
    double real = 0;
    bool yes = false;
    std::vector<bn_toml_node> items;
    std::vector<std::string> keys; /* of a table, beside items */
    std::vector<int> key_lines;
};

struct bn_toml {
    bn_toml_node root;
};

namespace
{

int line_of(const toml::source_region &region, int otherwise)
{
    return region.begin.line > 0 ? static_cast<int>(region.begin.line) : otherwise;
}

/* As deep as the document is nested, which toml++ limits.
 * NOLINTBEGIN(misc-no-recursion) */
bn_toml_node copy_node(const toml::node &from, int outer_line);

void copy_table(bn_toml_node &to, const toml::table &table)
{
    struct entry {
        const toml::key *key;
        const toml::node *node;
    };
    std::vector<entry> entries;
    for (auto &&[key, node] : table) entries.push_back({&key, &node});
    std::stable_sort(entries.begin(), entries.end(), [](const entry &a, const entry &b) {
        return a.key->source().begin < b.key->source().begin;
    });
    for (const entry &each : entries) {
        const int line = line_of(each.key->source(), to.line);
        to.keys.emplace_back(each.key->str());
        to.key_lines.push_back(line);
        to.items.push_back(copy_node(*each.node, line));
    }
}

bn_toml_node copy_node(const toml::node &from, int outer_line)
{
    bn_toml_node to;
    to.line = line_of(from.source(), outer_line);
    if (const toml::table *table = from.as_table()) {
        copy_table(to, *table);
    } else if (const toml::array *array = from.as_array()) {
        to.kind = BN_TOML_ARRAY;
        for (const toml::node &item : *array) to.items.push_back(copy_node(item, to.line));
    } else if (const auto *text = from.as_string()) {
        to.kind = BN_TOML_TEXT;
        to.text = text->get();
    } else if (const auto *whole = from.as_integer()) {
        to.kind = BN_TOML_INT;
        to.whole = whole->get();
        to.real = static_cast<double>(to.whole);
    } else if (const auto *real = from.as_floating_point()) {
        to.kind = BN_TOML_REAL;
        to.real = real->get();
    } else if (const auto *yes = from.as_boolean()) {
        to.kind = BN_TOML_BOOL;
        to.yes = yes->get();
    } else {
        to.kind = BN_TOML_TIME;
    }
    return to;
}

/* NOLINTEND(misc-no-recursion) */

/* "Error while parsing table header: expected ']', saw '\n'" without its first three words, in one
 * line. */
std::string one_line(std::string_view words)
{
    constexpr std::string_view opening = "Error while parsing ";
    if (words.substr(0, opening.size()) == opening) words.remove_prefix(opening.size());
    std::string line(words);
    std::replace_if(
        line.begin(), line.end(), [](unsigned char c) { return c < ' '; }, ' ');
    return line;
}

/* The end of a string that begins at `at` with a quote: behind its closing quotes, or at the end of
 * its line or of the text when it is never closed. */
std::size_t end_of_string(std::string_view text, std::size_t at)
{
    const char quote = text[at];
    const bool block = text.substr(at, 3) == std::string(3, quote);
    const std::size_t length = block ? 3 : 1;
    for (std::size_t i = at + length; i < text.size(); i++) {
        if (quote == '"' && text[i] == '\\') {
            i++;
        } else if (text[i] == '\n' && !block) {
            return i;
        } else if (text.substr(i, length) == std::string(length, quote)) {
            return i + length;
        }
    }
    return text.size();
}

/* Line of the first byte beyond ASCII outside of strings and comments, where TOML has none; 0:
 * there is none. toml++ 3.3 takes letters between U+00A1 and U+0499 there for impossible. */
int line_of_stray(std::string_view text)
{
    int line = 1;
    std::size_t i = text.substr(0, 3) == "\xEF\xBB\xBF" ? 3 : 0;
    while (i < text.size()) {
        std::size_t end = i + 1;
        if (static_cast<unsigned char>(text[i]) >= 0x80) return line;
        if (text[i] == '"' || text[i] == '\'') end = end_of_string(text, i);
        if (text[i] == '#') end = std::min(text.find('\n', i), text.size());
        line += static_cast<int>(std::count(text.begin() + static_cast<std::ptrdiff_t>(i),
                                            text.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
        i = end;
    }
    return 0;
}

/* Whether toml++ trips over itself in these bytes. */
bool trips(std::string_view text)
{
    try {
        (void)toml::parse(text);
    } catch (const std::logic_error &) {
        return true;
    } catch (...) {
        return false;
    }
    return false;
}

/* The line where it does: the parser reads forwards, so the shortest beginning of whole lines that
 * trips it ends there. */
int line_of_trip(std::string_view text)
{
    std::vector<std::size_t> ends;
    for (std::size_t i = 0; i < text.size(); i++) {
        if (text[i] == '\n') ends.push_back(i + 1);
    }
    ends.push_back(text.size());
    const auto trip = std::partition_point(
        ends.begin(), ends.end(), [&](std::size_t end) { return !trips(text.substr(0, end)); });
    return static_cast<int>(trip - ends.begin()) + 1;
}

} // namespace

bn_status bn_toml_parse(bn_toml **out, const char *text, size_t bytes, const char *file,
                        bn_error *err)
{
    *out = nullptr;
    const int stray = line_of_stray(std::string_view(text, bytes));
    if (stray > 0) {
        return bn_fail(err, BN_EINVAL, "%s:%d: only texts in quotes may hold letters beyond ASCII",
                       file, stray);
    }
    try {
        const toml::table table = toml::parse(std::string_view(text, bytes));
        *out = new bn_toml{copy_node(table, 1)};
        return BN_OK;
    } catch (const toml::parse_error &error) {
        const std::string words = one_line(error.description());
        return bn_fail(err, BN_EINVAL, "%s:%d: %s", file, line_of(error.source(), 1),
                       words.c_str());
    } catch (const std::logic_error &) {
        return bn_fail(err, BN_EINVAL, "%s:%d: a character stands where none of this kind may",
                       file, line_of_trip(std::string_view(text, bytes)));
    } catch (const std::bad_alloc &) {
        return bn_fail(err, BN_ENOMEM, "%s: too little memory to read it", file);
    } catch (...) {
        return bn_fail(err, BN_EINVAL, "%s: cannot be read as TOML", file);
    }
}

void bn_toml_close(bn_toml *document)
{
    delete document;
}

const bn_toml_node *bn_toml_root(const bn_toml *document)
{
    return &document->root;
}

bn_toml_kind bn_toml_kind_of(const bn_toml_node *node)
{
    return node->kind;
}

int bn_toml_line(const bn_toml_node *node)
{
    return node->line;
}

size_t bn_toml_count(const bn_toml_node *node)
{
    return node->items.size();
}

const bn_toml_node *bn_toml_at(const bn_toml_node *node, size_t index)
{
    return index < node->items.size() ? &node->items[index] : nullptr;
}

const char *bn_toml_key(const bn_toml_node *node, size_t index)
{
    return index < node->keys.size() ? node->keys[index].c_str() : "";
}

int bn_toml_key_line(const bn_toml_node *node, size_t index)
{
    return index < node->key_lines.size() ? node->key_lines[index] : node->line;
}

const bn_toml_node *bn_toml_get(const bn_toml_node *node, const char *key)
{
    for (size_t i = 0; i < node->keys.size(); i++) {
        if (node->keys[i] == key) return &node->items[i];
    }
    return nullptr;
}

const char *bn_toml_text(const bn_toml_node *node)
{
    return node->text.c_str();
}

int64_t bn_toml_int(const bn_toml_node *node)
{
    return node->whole;
}

double bn_toml_real(const bn_toml_node *node)
{
    return node->real;
}

bool bn_toml_bool(const bn_toml_node *node)
{
    return node->yes;
}
