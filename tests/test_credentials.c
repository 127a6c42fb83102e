#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/file.h"
#include "reporters/credentials.h"
#include "support/cmocka_all.h"

#define KEY "0123456789abcdef0123456789abcdef01234567"

static const char *variables[4][2]; /* what the environment of a test holds */

static const char *environment(const char *name)
{
    for (size_t i = 0; i < 4; i++) {
        if (variables[i][0] && strcmp(variables[i][0], name) == 0) return variables[i][1];
    }
    return NULL;
}

static int clear(void **state)
{
    (void)state;
    memset(variables, 0, sizeof variables);
    return 0;
}

static void set(size_t i, const char *name, const char *value)
{
    variables[i][0] = name;
    variables[i][1] = value;
}

static void test_environment_comes_first(void **state)
{
    (void)state;
    set(0, "WANDB_API_KEY", KEY);
    set(1, "NETRC", "/nowhere");
    bn_error err = {0};
    bn_secret key;
    assert_int_equal(bn_credentials_find(&key, "https://x", environment, &err), BN_OK);
    assert_string_equal(key.text, KEY);
}

static void test_netrc_machine_has_the_port(void **state)
{
    (void)state;
    char path[] = "/tmp/bnexp-netrc-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    bn_error err = {0};
    const char text[] = "machine 127.0.0.1 login user password other\n"
                        "machine 127.0.0.1:8080\n  login user\n  password " KEY "\n";
    assert_int_equal(bn_file_write(path, text, sizeof text - 1, 0600, &err), BN_OK);
    set(0, "NETRC", path);
    bn_secret key;
    assert_int_equal(bn_credentials_find(&key, "http://127.0.0.1:8080/base", environment, &err),
                     BN_OK);
    assert_string_equal(key.text, KEY);
    unlink(path);
}

static void test_no_key_says_where_to_put_one(void **state)
{
    (void)state;
    set(0, "HOME", "/nowhere");
    bn_error err = {0};
    bn_secret key;
    assert_int_equal(bn_credentials_find(&key, "https://api.wandb.ai", environment, &err),
                     BN_ENOENT);
    assert_non_null(strstr(err.text, "no API key for api.wandb.ai: set WANDB_API_KEY"));
    assert_non_null(strstr(err.text, "~/.netrc"));
}

static void test_bad_key_is_refused_and_not_repeated(void **state)
{
    (void)state;
    static const char *const bad[] = {"short", KEY "\nX-Evil: 1", KEY " " KEY};
    for (size_t i = 0; i < 3; i++) {
        set(0, "WANDB_API_KEY", bad[i]);
        bn_error err = {0};
        bn_secret key;
        assert_int_equal(bn_credentials_find(&key, "https://x", environment, &err), BN_EINVAL);
        assert_null(strstr(err.text, bad[i]));
        assert_null(strstr(err.text, KEY));
    }
}

static void test_netrc_is_read_word_by_word(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "machine h login u password k",
        "# machine h password wrong\nmachine\th\nlogin\tu\npassword\tk\n",
        "machine h login password password k",
        "macdef machine\nmachine h password wrong\n\nmachine h password k",
        "machine other password wrong\ndefault login u password k",
        "machine h login u password \"k\"",
        "default login u password wrong\nmachine h login u password k",
        "machine h password k\ndefault password wrong\nmachine g password wrong",
        "machine h password old\nmachine h password k",
        "\xEF\xBB\xBFmachine h login u password k\n",
        "macdef init\r\nmachine h password wrong\r\n\r\nmachine h\r\n password k\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        bn_error err = {0};
        bn_secret key;
        assert_int_equal(bn_credentials_netrc(&key, texts[i], "h", &err), BN_OK);
        assert_string_equal(key.text, "k");
    }
    bn_error err = {0};
    bn_secret key;
    assert_int_equal(bn_credentials_netrc(&key, "machine g password k", "h", &err), BN_ENOENT);
}

static void test_netrc_machine_without_its_port_is_second(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "machine h password k\ndefault password wrong",
        "machine h:8 password k\nmachine h password wrong\nmachine h:9 password wrong",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        bn_error err = {0};
        bn_secret key;
        assert_int_equal(bn_credentials_netrc(&key, texts[i], "h:8", &err), BN_OK);
        assert_string_equal(key.text, "k");
    }
}

static void test_netrc_that_is_a_pipe_is_refused(void **state)
{
    (void)state;
    char folder[] = "/tmp/bnexp-netrc-XXXXXX";
    char path[sizeof folder + 8];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    set(0, "NETRC", path);
    bn_error err = {0};
    bn_secret key;
    assert_int_equal(bn_credentials_find(&key, "https://x", environment, &err), BN_EINVAL);
    assert_non_null(strstr(err.text, "/pipe is not a regular file"));
    unlink(path);
    rmdir(folder);
}

static void test_header_is_basic_with_user_api(void **state)
{
    (void)state;
    char header[BN_AUTHORIZATION_MAX];
    bn_secret key = {"k"};
    bn_credentials_header(header, "api", &key);
    assert_string_equal(header, "Authorization: Basic YXBpOms=");
    key = (bn_secret){"secret"};
    bn_credentials_header(header, "api", &key);
    assert_string_equal(header, "Authorization: Basic YXBpOnNlY3JldA==");
    key = (bn_secret){"ab"};
    bn_credentials_header(header, "api", &key);
    assert_string_equal(header, "Authorization: Basic YXBpOmFi");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_environment_comes_first, clear),
        cmocka_unit_test_setup(test_netrc_machine_has_the_port, clear),
        cmocka_unit_test_setup(test_no_key_says_where_to_put_one, clear),
        cmocka_unit_test_setup(test_bad_key_is_refused_and_not_repeated, clear),
        cmocka_unit_test(test_netrc_is_read_word_by_word),
        cmocka_unit_test(test_netrc_machine_without_its_port_is_second),
        cmocka_unit_test_setup(test_netrc_that_is_a_pipe_is_refused, clear),
        cmocka_unit_test(test_header_is_basic_with_user_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
