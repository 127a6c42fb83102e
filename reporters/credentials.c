#include "reporters/credentials.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/file.h"

enum { NETRC_BYTES_MAX = 1 << 20, KEY_BYTES_MIN = 20 };

static const char BLANKS[] = " \t\r\n";
static const char BYTE_ORDER_MARK[] = "\xEF\xBB\xBF"; /* some editors begin a file with it */

/* The next word of a netrc text: out is cut to its size, *text moves behind the word. A quoted word
 * may hold blanks. Returns false at the end. */
static bool next_word(const char **text, char *out, size_t size)
{
    const char *s = *text + strspn(*text, BLANKS);
    size_t length = 0;
    bool quoted = *s == '"';
    bool found = *s != '\0';
    if (quoted) s++;
    while (*s && (quoted ? *s != '"' : !strchr(BLANKS, *s))) {
        if (quoted && *s == '\\' && s[1]) s++;
        if (length + 1 < size) out[length++] = *s;
        s++;
    }
    if (quoted && *s == '"') s++;
    out[length] = '\0';
    *text = s;
    return found;
}

/* A macro's text runs to the next empty line and may hold any words. */
static const char *skip_macro(const char *text)
{
    for (const char *line = strchr(text, '\n'); line; line = strchr(line, '\n')) {
        line++;
        if (line[line[0] == '\r'] == '\n') return line;
    }
    return text + strlen(text);
}

/* What an entry's password is worth to whom we look for; the larger one is taken. */
typedef enum worth { WORTH_NOTHING, WORTH_DEFAULT, WORTH_HOST, WORTH_MACHINE } worth;

/* A name without the port is the machine's too: wandb login writes it so. */
static worth worth_of(const char *name, const char *machine)
{
    if (strcmp(name, machine) == 0) return WORTH_MACHINE;
    size_t length = strlen(name);
    const char *port = strrchr(machine, ':');
    bool host = port && length == (size_t)(port - machine) && memcmp(name, machine, length) == 0;
    return host ? WORTH_HOST : WORTH_NOTHING;
}

/* As Python's netrc does for wandb: the machine's own entry wins wherever 'default' stands, and of
 * two of its entries the later. */
bn_status bn_credentials_netrc(bn_secret *out, const char *netrc, const char *machine,
                               bn_error *err)
{
    bn_secret found;
    char *word = found.text;
    const size_t size = sizeof found.text;
    worth entry = WORTH_NOTHING, best = WORTH_NOTHING;
    if (strncmp(netrc, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0) {
        netrc += strlen(BYTE_ORDER_MARK);
    }
    while (next_word(&netrc, word, size)) {
        if (strcmp(word, "machine") == 0) {
            entry = next_word(&netrc, word, size) ? worth_of(word, machine) : WORTH_NOTHING;
        } else if (strcmp(word, "default") == 0) {
            entry = WORTH_DEFAULT;
        } else if (strcmp(word, "macdef") == 0) {
            netrc = skip_macro(netrc);
        } else if (strcmp(word, "login") == 0 || strcmp(word, "account") == 0) {
            (void)next_word(&netrc, word, size);
        } else if (strcmp(word, "password") == 0) {
            bool better = next_word(&netrc, word, size) && entry > WORTH_NOTHING && entry >= best;
            if (!better) continue;
            best = entry;
            *out = found;
        } else if (word[0] == '#') {
            netrc += strcspn(netrc, "\n");
        }
    }
    bn_secret_forget(&found);
    if (best > WORTH_NOTHING) return BN_OK;
    return bn_fail(err, BN_ENOENT, "no password for %s", machine);
}

/* host or host:port of an address. */
static void machine_of(char *out, size_t size, const char *url)
{
    const char *rest = strstr(url, "://");
    rest = rest ? rest + 3 : url;
    size_t length = strcspn(rest, "/?#");
    const char *at = memchr(rest, '@', length);
    if (at) {
        length -= (size_t)(at + 1 - rest);
        rest = at + 1;
    }
    (void)snprintf(out, size, "%.*s", (int)length, rest);
}

/* BN_ENOENT also when there is no such file. A pipe is refused before it is opened: one that nobody
 * writes to would keep us waiting for ever. */
static bn_status look_in(const char *path, const char *machine, bn_secret *out, bn_error *err)
{
    struct stat about;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode)) {
        return bn_fail(err, BN_EINVAL, "netrc file %s is not a regular file", path);
    }
    char *netrc = NULL;
    size_t size = 0;
    bn_status status = bn_file_read(path, NETRC_BYTES_MAX, &netrc, &size, err);
    if (status != BN_OK) return status;
    status = bn_credentials_netrc(out, netrc, machine, err);
    memset(netrc, 0, size);
    free(netrc);
    return status;
}

static bn_status find_in_netrc(bn_secret *out, const char *machine, bn_environment environment,
                               bn_error *err)
{
    const char *named = environment("NETRC");
    if (named && *named) return look_in(named, machine, out, err);
    const char *user_home = environment("HOME");
    if (!user_home) return bn_fail(err, BN_ENOENT, "no HOME");
    static const char *const files[] = {".netrc", "_netrc"};
    for (size_t i = 0; i < 2; i++) {
        char path[BN_PATH_MAX];
        bn_error missed = {0};
        if (bn_path_join(path, user_home, files[i], err) != BN_OK) return err->status;
        if (!bn_file_exists(path)) continue;
        if (look_in(path, machine, out, &missed) == BN_OK) return BN_OK;
        return bn_fail(err, missed.status, "%s", missed.text);
    }
    return bn_fail(err, BN_ENOENT, "no netrc file");
}

/* What cannot be a key would only come back as a puzzling 401; a line break in it would even write
 * headers of its own. */
static bn_status check(const bn_secret *key, const char *source, bn_error *err)
{
    size_t length = strlen(key->text);
    for (size_t i = 0; i < length; i++) {
        if (key->text[i] > ' ' && key->text[i] < 0x7F) continue;
        return bn_fail(err, BN_EINVAL, "the API key in %s holds a blank or a control character",
                       source);
    }
    if (length >= KEY_BYTES_MIN) return BN_OK;
    return bn_fail(err, BN_EINVAL, "the API key in %s has %zu characters, expected 40 or more",
                   source, length);
}

bn_status bn_credentials_find(bn_secret *out, const char *base_url, bn_environment environment,
                              bn_error *err)
{
    char machine[256];
    machine_of(machine, sizeof machine, base_url);
    const char *key = environment("WANDB_API_KEY");
    if (key && *key) {
        if (strlen(key) >= sizeof out->text) {
            return bn_fail(err, BN_EINVAL, "the API key in WANDB_API_KEY is too long");
        }
        memcpy(out->text, key, strlen(key) + 1);
        return check(out, "WANDB_API_KEY", err);
    }
    bn_error missed = {0};
    bn_status status = find_in_netrc(out, machine, environment, &missed);
    if (status == BN_OK) return check(out, "the netrc file", err);
    if (status != BN_ENOENT) return bn_fail(err, status, "%s", missed.text);
    return bn_fail(err, BN_ENOENT,
                   "no API key for %s: set WANDB_API_KEY, or put 'machine %s login user password "
                   "KEY' into ~/.netrc",
                   machine, machine);
}

void bn_credentials_header(char out[BN_AUTHORIZATION_MAX], const char *user,
                           const bn_secret *secret)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char plain[BN_SECRET_MAX + 8];
    int length = snprintf(plain, sizeof plain, "%.6s%s%s", user, user[0] ? ":" : "", secret->text);
    char *to = out + snprintf(out, BN_AUTHORIZATION_MAX, "Authorization: Basic ");
    for (int i = 0; i < length; i += 3) {
        unsigned bits = (unsigned)(unsigned char)plain[i] << 16;
        if (i + 1 < length) bits |= (unsigned)(unsigned char)plain[i + 1] << 8;
        if (i + 2 < length) bits |= (unsigned char)plain[i + 2];
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = digits[bits >> 6 & 63];
        *to++ = digits[bits & 63];
    }
    for (int i = 0; i < (3 - length % 3) % 3; i++) to[-1 - i] = '=';
    *to = '\0';
    memset(plain, 0, sizeof plain);
}

void bn_secret_forget(bn_secret *secret)
{
    volatile char *text = secret->text; /* volatile: the compiler may not leave it out */
    for (size_t i = 0; i < sizeof secret->text; i++) text[i] = '\0';
}
