bn_test(db bn_store)
bn_test(store bn_store)
bn_test(history bn_store)
bn_test(feed bn_store)
