-- How many features of A have a match in B, and how alike what the two make of the same tokens is.
SELECT a, b, share_050, share_050_half_width, n_compared, n_features, correlation, cosine, cka, cka_permuted, rsa,
       rsa_permuted
FROM universality ORDER BY a, b;
