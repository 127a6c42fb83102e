#include "runner/fleet/judge.h"
#include "support/cmocka_all.h"

typedef struct law {
    const char *what;
    bn_evidence evidence;
    bn_run_state state;
    const char *reason;
} law;

#define EXIT(number)                                                                               \
    {                                                                                              \
        .known = true, .code = (number)                                                            \
    }
#define SIGNAL(number)                                                                             \
    {                                                                                              \
        .known = true, .code = -1, .signal = (number)                                              \
    }

static const law LAWS[] = {
    {"an end line is believed",
     {.how = "finished", .reason = "", .exit = EXIT(0)},
     BN_RUN_FINISHED,
     ""},
    {"even when the process stumbled after it",
     {.how = "finished", .reason = "", .exit = SIGNAL(11)},
     BN_RUN_FINISHED,
     ""},
    {"even when it was asked to stop",
     {.ask = BN_ASK_LATER, .how = "finished", .reason = "", .exit = EXIT(0)},
     BN_RUN_FINISHED,
     ""},
    {"divergence is a failure of its own",
     {.how = "diverged", .reason = "diverged at step 40", .exit = EXIT(1)},
     BN_RUN_FAILED,
     "diverged at step 40"},
    {"a stop that we asked for will be gone on with",
     {.ask = BN_ASK_LATER, .how = "stopped", .reason = "", .exit = EXIT(75)},
     BN_RUN_PREEMPTED,
     ""},
    {"also when it had to be killed",
     {.ask = BN_ASK_LATER, .exit = SIGNAL(9)},
     BN_RUN_PREEMPTED,
     ""},
    {"a person's wish is no failure",
     {.ask = BN_ASK_CANCEL, .ask_why = "by hand", .exit = EXIT(75)},
     BN_RUN_KILLED,
     "canceled: by hand"},
    {"a rule ended it",
     {.ask = BN_ASK_PRUNE, .ask_why = "median", .exit = EXIT(75)},
     BN_RUN_PRUNED,
     "pruned: median"},
    {"too slow",
     {.ask = BN_ASK_TIMEOUT, .ask_why = "longer than 5 s", .exit = EXIT(75)},
     BN_RUN_FAILED,
     "timeout: longer than 5 s"},
    {"silent",
     {.ask = BN_ASK_STALL, .ask_why = "nothing heard", .exit = SIGNAL(9)},
     BN_RUN_CRASHED,
     "stalled: nothing heard"},
    {"it asks for more time itself",
     {.how = "stopped", .reason = "", .exit = EXIT(75)},
     BN_RUN_PREEMPTED,
     "asked to go on later"},
    {"a run that its device has no memory for",
     {.exit = EXIT(1), .last_words = "bnexp: oom: activations of 812 MB"},
     BN_RUN_FAILED,
     "oom: activations of 812 MB"},
    {"its own error with its own words",
     {.exit = EXIT(3), .last_words = "no such file"},
     BN_RUN_FAILED,
     "exit 3: no such file"},
    {"a signal", {.exit = SIGNAL(11)}, BN_RUN_CRASHED, "signal 11"},
    {"memory",
     {.exit = {.known = true, .code = -1, .signal = 9, .oom = true}},
     BN_RUN_CRASHED,
     "oom: killed for memory"},
    {"an earlier attempt's end line is no excuse",
     {.how = "stopped", .reason = "", .exit = EXIT(3)},
     BN_RUN_FAILED,
     "exit 3"},
    {"success must be said", {.exit = EXIT(0)}, BN_RUN_CRASHED, "exit 0 without an end line"},
    {"but by an external program it is shown",
     {.external = true, .exit = EXIT(0)},
     BN_RUN_FINISHED,
     ""},
    {"an external one that is done when asked to stop is done",
     {.external = true, .ask = BN_ASK_LATER, .exit = EXIT(0)},
     BN_RUN_FINISHED,
     ""},
    {"nobody saw it end", {.exit = {.code = -1}}, BN_RUN_PREEMPTED, "lost: nobody saw it end"},
};

static void test_every_end_has_its_state_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof LAWS / sizeof LAWS[0]; i++) {
        bn_evidence evidence = LAWS[i].evidence;
        if (!evidence.last_words) evidence.last_words = "";
        if (!evidence.ask_why) evidence.ask_why = "";
        if (!evidence.reason) evidence.reason = "";
        bn_verdict verdict = bn_judge(&evidence);
        if (verdict.state != LAWS[i].state || strcmp(verdict.reason, LAWS[i].reason) != 0) {
            fail_msg("%s: %s '%s'", LAWS[i].what, bn_run_state_name(verdict.state), verdict.reason);
        }
    }
}

static void test_an_intent_reads_back_as_it_was_written(void **state)
{
    (void)state;
    char text[240];
    const char *why = NULL;
    for (int ask = BN_ASK_LATER; ask <= BN_ASK_DIVERGED; ask++) {
        bn_ask_text((bn_ask)ask, "because: of (this)", text);
        assert_int_equal(bn_ask_parse(text, &why), ask);
        assert_string_equal(why, "because: of (this)");
    }
    assert_int_equal(bn_ask_parse("exit 3: stopping (later): x", &why), BN_ASK_NOTHING);
    assert_int_equal(bn_ask_parse("", &why), BN_ASK_NOTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_end_has_its_state_and_reason),
        cmocka_unit_test(test_an_intent_reads_back_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
