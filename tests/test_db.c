#include <sys/stat.h>

#include "store/db.h"
#include "store/migrate.h"
#include "store/place.h"
#include "support/store_home.h"

static const bn_migration FIRST[] = {
    {"001_first", "CREATE TABLE one (x INTEGER) STRICT", "1111"},
};
static const bn_migration BOTH[] = {
    {"001_first", "CREATE TABLE one (x INTEGER) STRICT", "1111"},
    {"002_second", "CREATE TABLE two (x INTEGER) STRICT; INSERT INTO two VALUES (2)", "2222"},
};
static const bn_migration CHANGED[] = {
    {"001_first", "CREATE TABLE one (y INTEGER) STRICT", "3333"},
};
static const bn_migration BROKEN[] = {
    {"001_first", "CREATE TABLE one (x INTEGER) STRICT", "1111"},
    {"002_broken", "CREATE TABLE two (x INTEGER) STRICT; INSERT INTO nowhere VALUES (2)", "4444"},
};

typedef struct place {
    char home[BN_PATH_MAX], path[BN_PATH_MAX];
    bn_db *db;
    bn_error err;
} place;

static void place_make(place *at)
{
    *at = (place){0};
    home_make(at->home);
    assert_int_equal(bn_path_join(at->path, at->home, "bnexp.db", &at->err), BN_OK);
}

static bn_status migrate(place *at, bn_db_mode mode, const bn_migration *list, int count)
{
    at->err = (bn_error){0};
    bn_status status = bn_db_open(&at->db, at->path, mode, &at->err);
    if (status == BN_OK) status = bn_migrate_check(at->db, at->path, list, count, &at->err);
    if (status == BN_OK) status = bn_migrate(at->db, at->path, mode, list, count, &at->err);
    return status;
}

static void leave(place *at)
{
    bn_db_close(at->db);
    at->db = NULL;
}

static void test_a_new_database_is_private_to_its_owner(void **state)
{
    (void)state;
    place at;
    place_make(&at);
    assert_int_equal(migrate(&at, BN_DB_WRITE, FIRST, 1), BN_OK);
    leave(&at);
    struct stat info;
    assert_int_equal(stat(at.path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    home_remove(at.home);
}

static void test_migrating_keeps_a_copy_of_what_was(void **state)
{
    (void)state;
    place at;
    place_make(&at);
    assert_int_equal(migrate(&at, BN_DB_WRITE, FIRST, 1), BN_OK);
    leave(&at);
    assert_int_equal(migrate(&at, BN_DB_WRITE, BOTH, 2), BN_OK);
    int64_t number = 0;
    assert_int_equal(bn_db_int(at.db, "SELECT x FROM two", &number, &at.err), BN_OK);
    assert_int_equal(number, 2);
    leave(&at);
    char copy[BN_PATH_MAX + 16];
    (void)snprintf(copy, sizeof copy, "%s.v1-backup", at.path);
    assert_int_equal(bn_db_open(&at.db, copy, BN_DB_READ, &at.err), BN_OK);
    assert_int_equal(bn_db_int(at.db, "PRAGMA user_version", &number, &at.err), BN_OK);
    assert_int_equal(number, 1);
    leave(&at);
    home_remove(at.home);
}

static void test_a_migration_that_fails_leaves_the_old_schema(void **state)
{
    (void)state;
    place at;
    place_make(&at);
    assert_int_equal(migrate(&at, BN_DB_WRITE, FIRST, 1), BN_OK);
    leave(&at);
    assert_int_not_equal(migrate(&at, BN_DB_WRITE, BROKEN, 2), BN_OK);
    assert_non_null(strstr(at.err.text, "002_broken"));
    leave(&at);
    assert_int_equal(migrate(&at, BN_DB_WRITE, FIRST, 1), BN_OK);
    int64_t tables = -1;
    const char sql[] = "SELECT count(*) FROM sqlite_schema WHERE name = 'two'";
    assert_int_equal(bn_db_int(at.db, sql, &tables, &at.err), BN_OK);
    assert_int_equal(tables, 0);
    leave(&at);
    home_remove(at.home);
}

static void test_a_newer_schema_is_refused(void **state)
{
    (void)state;
    place at;
    place_make(&at);
    assert_int_equal(migrate(&at, BN_DB_WRITE, BOTH, 2), BN_OK);
    leave(&at);
    assert_int_equal(migrate(&at, BN_DB_WRITE, FIRST, 1), BN_EINVAL);
    assert_non_null(strstr(at.err.text, "newer bnexp (schema 2, this one knows 1)"));
    leave(&at);
    home_remove(at.home);
}

static void test_a_schema_with_another_past_is_refused(void **state)
{
    (void)state;
    place at;
    place_make(&at);
    assert_int_equal(migrate(&at, BN_DB_WRITE, FIRST, 1), BN_OK);
    leave(&at);
    assert_int_equal(migrate(&at, BN_DB_WRITE, CHANGED, 1), BN_ECORRUPT);
    leave(&at);
    home_remove(at.home);
}

static void test_an_older_schema_is_not_read_unmigrated(void **state)
{
    (void)state;
    place at;
    place_make(&at);
    assert_int_equal(migrate(&at, BN_DB_WRITE, FIRST, 1), BN_OK);
    leave(&at);
    assert_int_equal(migrate(&at, BN_DB_READ, BOTH, 2), BN_EINVAL);
    assert_non_null(strstr(at.err.text, "doctor --migrate"));
    leave(&at);
    home_remove(at.home);
}

static void test_a_foreign_database_is_left_byte_for_byte(void **state)
{
    (void)state;
    place at;
    bn_store *store = NULL;
    char *before = NULL, *after = NULL;
    size_t size = 0, size_after = 0;
    place_make(&at);
    assert_int_equal(bn_db_open(&at.db, at.path, BN_DB_WRITE, &at.err), BN_OK);
    assert_int_equal(bn_db_exec(at.db, "CREATE TABLE theirs (x)", &at.err), BN_OK);
    leave(&at);
    assert_int_equal(bn_file_read(at.path, 1 << 20, &before, &size, &at.err), BN_OK);
    assert_int_equal(bn_store_open(&store, at.home, BN_STORE_WRITE, &at.err), BN_ECORRUPT);
    assert_non_null(strstr(at.err.text, "another program"));
    bn_error err = {0};
    ASSERT_OK(bn_file_read(at.path, 1 << 20, &after, &size_after, &err));
    assert_int_equal(size, size_after);
    assert_memory_equal(before, after, size);
    free(before);
    free(after);
    home_remove(at.home);
}

static void test_a_text_file_is_no_database(void **state)
{
    (void)state;
    place at;
    bn_store *store = NULL;
    char words[2000];
    memset(words, 'x', sizeof words);
    place_make(&at);
    assert_int_equal(bn_file_write(at.path, words, sizeof words, 0600, &at.err), BN_OK);
    assert_int_equal(bn_store_open(&store, at.home, BN_STORE_WRITE, &at.err), BN_ECORRUPT);
    assert_non_null(strstr(at.err.text, "is not an SQLite database"));
    home_remove(at.home);
}

static void test_only_one_statement_that_reads_is_run_for_people(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "DELETE FROM one", "SELECT 1; DROP TABLE one", "",
        "SELEKT 1",        "PRAGMA user_version = 3",  "ATTACH 'x.db' AS y"};
    place at;
    place_make(&at);
    assert_int_equal(migrate(&at, BN_DB_WRITE, FIRST, 1), BN_OK);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        bn_stmt *stmt = NULL;
        bn_error err = {0};
        assert_int_equal(bn_db_query(at.db, refused[i], &stmt, &err), BN_EINVAL);
        assert_null(stmt);
    }
    leave(&at);
    home_remove(at.home);
}

static void test_network_file_systems_are_known_by_their_magic(void **state)
{
    (void)state;
    assert_string_equal(bn_place_network(0x6969), "NFS");
    assert_string_equal(bn_place_network(0x0bd00bd0), "Lustre");
    assert_string_equal(bn_place_network((long)(int)0xff534d42), "CIFS"); /* sign-extended */
    assert_null(bn_place_network(0xef53));                                /* ext4 */
    assert_null(bn_place_network(0x01021994));                            /* tmpfs */
}

static void test_a_home_that_is_not_there_yet_is_judged_by_its_parents(void **state)
{
    (void)state;
    bn_error err = {0};
    ASSERT_OK(bn_place_check("/tmp/none/of/these/bnexp.db", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_database_is_private_to_its_owner),
        cmocka_unit_test(test_migrating_keeps_a_copy_of_what_was),
        cmocka_unit_test(test_a_migration_that_fails_leaves_the_old_schema),
        cmocka_unit_test(test_a_newer_schema_is_refused),
        cmocka_unit_test(test_a_schema_with_another_past_is_refused),
        cmocka_unit_test(test_an_older_schema_is_not_read_unmigrated),
        cmocka_unit_test(test_a_foreign_database_is_left_byte_for_byte),
        cmocka_unit_test(test_a_text_file_is_no_database),
        cmocka_unit_test(test_only_one_statement_that_reads_is_run_for_people),
        cmocka_unit_test(test_network_file_systems_are_known_by_their_magic),
        cmocka_unit_test(test_a_home_that_is_not_there_yet_is_judged_by_its_parents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
