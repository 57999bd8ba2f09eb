// SPDX-License-Identifier: Apache-2.0
// Finds flipped bits in a filter word (T4). Each rule has two parity bits, one over its even bits and one over its odd
// bits: they show an odd number of flips in either half, and so any two neighbours. The bit of amazon-dns is there twice.
// Combinational.
module list_parity (
    input  logic                            valid,
    input  logic [offload::FilterWidth-1:0] word,
    output logic                            faulty
);
    // `keep` makes synthesis build each bit as one LUT of six inputs. `left` are the bits that no such LUT has taken.
    (* keep *) logic [32*map::Rules-1:0] low, high;
    (* keep *) logic [12*map::Rules-1:0] twelve;
    (* keep *) logic [2*map::Rules-1:0] two;
    logic [15:0] marks;
    logic [7:0] left;
    logic [1:0] odd;

    always_comb begin
        low    = 'x;
        high   = 'x;
        twelve = 'x;
        two    = 'x;
        marks  = 'x;
        left   = 'x;
        odd    = '0;
        faulty = 1'b0;
        if (valid) begin
            for (int i = 0; i < map::Rules; i++) begin
                low[32*i +: 32]  = word[offload::fields_at(i) +: 32] ^ word[offload::fields_at(i)+32 +: 32] ^
                                   word[offload::fields_at(i)+64 +: 32] ^ word[offload::fields_at(i)+96 +: 32] ^
                                   word[offload::fields_at(i)+128 +: 32] ^ word[offload::fields_at(i)+160 +: 32];
                high[32*i +: 32] = word[offload::fields_at(i)+192 +: 32] ^ word[offload::fields_at(i)+224 +: 32] ^
                                   word[offload::fields_at(i)+256 +: 32] ^ word[offload::fields_at(i)+288 +: 32] ^
                                   word[offload::fields_at(i)+320 +: 32] ^ word[offload::fields_at(i)+352 +: 32];
                marks = word[offload::marks_at(i) +: 16];
                left  = {marks[15:12], high[32*i+28 +: 4]};
                twelve[12*i +: 12] = low[32*i +: 12] ^ low[32*i+12 +: 12] ^ high[32*i +: 12] ^ high[32*i+12 +: 12] ^
                                     {high[32*i+24 +: 4], low[32*i+24 +: 8]} ^ marks[11:0];
                two[2*i +: 2] = twelve[12*i +: 2] ^ twelve[12*i+2 +: 2] ^ twelve[12*i+4 +: 2] ^ twelve[12*i+6 +: 2] ^
                                twelve[12*i+8 +: 2] ^ twelve[12*i+10 +: 2];
                odd = odd | (two[2*i +: 2] ^ left[1:0] ^ left[3:2] ^ left[5:4] ^ left[7:6]);
            end
            faulty = odd != '0 || word[offload::ListWidth] != word[offload::ListWidth+1];
        end
    end
endmodule
