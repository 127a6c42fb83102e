#include <stdlib.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "reporters/wandb_settings.h"
#include "support/cmocka_all.h"

static const char *variables[8][2]; /* what the environment of a test holds */
static size_t variable_count;

static const char *environment(const char *name)
{
    for (size_t i = 0; i < variable_count; i++) {
        if (strcmp(variables[i][0], name) == 0) return variables[i][1];
    }
    return NULL;
}

static int clear(void **state)
{
    (void)state;
    variable_count = 0;
    return 0;
}

static void set(const char *name, const char *value)
{
    variables[variable_count][0] = name;
    variables[variable_count++][1] = value;
}

static bn_wandb_settings read_well(const bn_wandb_flags *flags)
{
    bn_wandb_settings out;
    bn_error err = {0};
    if (bn_wandb_settings_read(&out, flags, environment, &err) != BN_OK) fail_msg("%s", err.text);
    return out;
}

static void refuse(const char *name, const char *value, const char *words)
{
    bn_wandb_settings out;
    bn_wandb_flags none = {0};
    bn_error err = {0};
    variable_count = 0;
    set(name, value);
    assert_int_equal(bn_wandb_settings_read(&out, &none, environment, &err), BN_EINVAL);
    if (!strstr(err.text, words)) fail_msg("'%s' does not say '%s'", err.text, words);
}

static void test_without_settings_it_is_the_public_server(void **state)
{
    (void)state;
    bn_wandb_flags none = {0};
    bn_wandb_settings got = read_well(&none);
    assert_string_equal(got.base_url, "https://api.wandb.ai");
    assert_string_equal(got.app_url, "https://wandb.ai");
    assert_string_equal(got.project, "bnexp");
    assert_string_equal(got.entity, "");
    assert_int_equal(got.mode, BN_WANDB_ONLINE);
    assert_true(got.console);
    assert_false(got.quiet);
}

static void test_flags_beat_variables_and_variables_beat_files(void **state)
{
    (void)state;
    char folder[] = "/tmp/bnexp-settings-XXXXXX";
    char path[BN_PATH_MAX];
    bn_error err = {0};
    static const char text[] = "[other]\nproject = no\n[default]\n# base_url = no\n"
                               "project = file\nentity: file-team\r\nbase_url = http://h:1/\n"
                               "unknown = 1\n";
    assert_non_null(mkdtemp(folder));
    assert_int_equal(bn_path_join(path, folder, "settings", &err), BN_OK);
    assert_int_equal(bn_file_write(path, text, sizeof text - 1, 0600, &err), BN_OK);
    set("WANDB_CONFIG_DIR", folder);
    set("WANDB_PROJECT", "variable");
    bn_wandb_flags none = {0};
    bn_wandb_settings got = read_well(&none);
    assert_string_equal(got.project, "variable");
    assert_string_equal(got.entity, "file-team");
    assert_string_equal(got.base_url, "http://h:1");
    bn_wandb_flags flags = {.entity = "flag-team", .project = "flag"};
    got = read_well(&flags);
    assert_string_equal(got.project, "flag");
    assert_string_equal(got.entity, "flag-team");
    (void)unlink(path);
    (void)rmdir(folder);
}

static void test_pages_are_beside_the_api(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"https://api.wandb.ai/", "https://wandb.ai"},
        {"https://api.example.com", "https://app.example.com"},
        {"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
        {"https://wandb.example.com/base//", "https://wandb.example.com/base"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        bn_wandb_flags none = {0};
        variable_count = 0;
        set("WANDB_BASE_URL", pairs[i][0]);
        assert_string_equal(read_well(&none).app_url, pairs[i][1]);
    }
}

static void test_modes_have_old_names_too(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bn_wandb_mode mode;
    } rows[] = {{"online", BN_WANDB_ONLINE},   {"run", BN_WANDB_ONLINE},
                {"offline", BN_WANDB_OFFLINE}, {"dryrun", BN_WANDB_OFFLINE},
                {"", BN_WANDB_ONLINE},         {"disabled", BN_WANDB_DISABLED}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bn_wandb_flags none = {0};
        variable_count = 0;
        set("WANDB_MODE", rows[i].name);
        assert_int_equal(read_well(&none).mode, rows[i].mode);
    }
}

static void test_mistakes_are_named(void **state)
{
    (void)state;
    refuse("WANDB_MODE", "offlin", "did you mean 'offline'?");
    refuse("WANDB_BASE_URL", "api.wandb.ai", "must begin with https://");
    refuse("WANDB_BASE_URL", "http://api.wandb.ai", "must be https://api.wandb.ai");
    refuse("WANDB_BASE_URL", "https://wandb.ai", "must be https://api.wandb.ai");
    refuse("WANDB_BASE_URL", "https://user:pass@h", "must be https://HOST");
    refuse("WANDB_PROJECT", "a?b", "may not hold '?'");
    refuse("WANDB_PROJECT", "..", "the wandb project may not be '..'");
    refuse("WANDB_ENTITY", "a/b", "the wandb entity 'a/b' may not hold '/'");
    refuse("WANDB_USERNAME", "a\r\nX-Evil: 1", "control character");
}

static void test_key_in_an_address_is_not_repeated(void **state)
{
    (void)state;
    static const char *const urls[] = {"https://user:SECRET@h", "ftp://user:SECRET@h"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        bn_wandb_settings out;
        bn_wandb_flags none = {0};
        bn_error err = {0};
        variable_count = 0;
        set("WANDB_BASE_URL", urls[i]);
        assert_int_equal(bn_wandb_settings_read(&out, &none, environment, &err), BN_EINVAL);
        assert_null(strstr(err.text, "SECRET"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_without_settings_it_is_the_public_server, clear),
        cmocka_unit_test_setup(test_flags_beat_variables_and_variables_beat_files, clear),
        cmocka_unit_test(test_pages_are_beside_the_api),
        cmocka_unit_test(test_modes_have_old_names_too),
        cmocka_unit_test(test_mistakes_are_named),
        cmocka_unit_test_setup(test_key_in_an_address_is_not_repeated, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
